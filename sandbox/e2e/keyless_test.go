package e2e

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// keyless makes the script a job of GitHub or GitLab, of the tag v1.0.0 of acme/enclave
// or another reference, whose identity signs:
//
//	keyless github
//	keyless gitlab
//	keyless github refs/heads/main
//
// It sets IDENTITY, WORKFLOW (the same without its reference), ISSUER, and ROOT, the file
// of the trusted root.
func keyless(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: keyless github|gitlab [REF]")
	}
	const repository = "acme/enclave"
	ref := "refs/tags/v1.0.0"
	if len(args) == 2 {
		ref = args[1]
	}
	env, err := s.world.Sigstore.Environment(repository, ref)
	ts.Check(err)
	root, err := s.world.Sigstore.TrustedRoot()
	ts.Check(err)
	services, err := s.world.Sigstore.SigningConfig(1)
	ts.Check(err)
	identity, issuer := sigstore.Identity(args[0], repository, ref), s.world.Sigstore.Issuer(args[0])
	workflow, _, _ := strings.Cut(identity, "@")
	env["IDENTITY"], env["WORKFLOW"], env["ISSUER"], env["ROOT"] = identity, workflow, issuer, filepath.Join(s.dir, "trusted-root.json")
	for name, value := range env {
		ts.Setenv(name, value)
	}
	config := filepath.Join(s.dir, "mrelease.yaml")
	sign := fmt.Sprintf("sign:\n  keyless: {token: %s, issuer: %q, identity: %q, signing-config: signing-config.json}\n  trusted-root: trusted-root.json\n", args[0], issuer, workflow)
	text := ts.ReadFile(config)
	if !strings.Contains(text, sign) {
		text = strings.Replace(text, "sign: {key: cosign.key}\n", sign, 1)
	}
	if !strings.Contains(text, sign) {
		ts.Fatalf("mrelease.yaml has another sign than usual")
	}
	for name, text := range map[string]string{config: text, env["ROOT"]: string(root), filepath.Join(s.dir, "signing-config.json"): string(services)} {
		ts.Check(writeFile(name, text))
	}
}
