package e2e

import (
	"errors"
	"fmt"
	"os"
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
	ref := tagged
	if len(args) == 2 {
		ref = args[1]
	}
	env, err := s.signKeyless(args[0], ref)
	ts.Check(err)
	for name, value := range env {
		ts.Setenv(name, value)
	}
}

// tagged is the reference of most releases.
const tagged = "refs/tags/v1.0.0"

// signKeyless configures a script's releases to sign with the identity of a job, and
// returns the job's environment, with what keyless sets.
func (s *script) signKeyless(system, ref string) (map[string]string, error) {
	const repository = "acme/enclave"
	env, err := s.world.Sigstore.Environment(repository, ref)
	if err != nil {
		return nil, err
	}
	root, err := s.world.Sigstore.TrustedRoot()
	if err != nil {
		return nil, err
	}
	services, err := s.world.Sigstore.SigningConfig(1)
	if err != nil {
		return nil, err
	}
	identity, issuer := sigstore.Identity(system, repository, ref), s.world.Sigstore.Issuer(system)
	workflow, _, _ := strings.Cut(identity, "@")
	env["IDENTITY"], env["WORKFLOW"], env["ISSUER"], env["ROOT"] = identity, workflow, issuer, filepath.Join(s.dir, "trusted-root.json")
	config := filepath.Join(s.dir, "mrelease.yaml")
	before, err := os.ReadFile(config)
	if err != nil {
		return nil, err
	}
	sign := fmt.Sprintf("sign:\n  keyless: {token: %s, issuer: %q, identity: %q, signing-config: signing-config.json}\n  trusted-root: trusted-root.json\n", system, issuer, workflow)
	text := string(before)
	if !strings.Contains(text, sign) {
		text = strings.Replace(text, "sign: {key: cosign.key}\n", sign, 1)
	}
	if !strings.Contains(text, sign) {
		return nil, errors.New("mrelease.yaml has another sign than usual")
	}
	for name, text := range map[string]string{config: text, env["ROOT"]: string(root), filepath.Join(s.dir, "signing-config.json"): string(services)} {
		if err := writeFile(name, text); err != nil {
			return nil, err
		}
	}
	return env, nil
}
