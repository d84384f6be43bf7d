//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/record"
)

// older lets version 3 of cosign take its older layout only. Without it, it takes
// bundles, and the older layout where there are none.
const older = "--new-bundle-format=false"

// Version 3 of cosign verifies what mrelease signed and attested, in both layouts, and
// mrelease takes what it signed; a key of somebody else's verifies nothing.
func TestCosign3(t *testing.T) {
	if testing.Short() {
		t.Skip("cosign 3 takes minutes to compile")
	}
	t.Parallel()
	s := newStage(t, nil)
	s.writeNowhere(t)
	s.cosign(t, "generate-key-pair", "--output-key-prefix", "other")
	dir := t.TempDir()
	writeWallet(t, dir, 1)
	for layout, sign := range map[string][]string{
		"referrers": {"--signing-config", "signing.json"},
		"tags":      {older, "--use-signing-config=false", "--tlog-upload=false"},
	} {
		t.Run(layout, func(t *testing.T) {
			ours := release{name: "ours-" + layout, chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 1, dir: dir}
			run := s.mreleaseRun(t, ours, "release", "--version", "1.0.0", "--progress", "quiet")
			run.env = append(run.env, "MRELEASE_SIGN_LAYOUT="+layout)
			run.run(t)
			rec, err := record.ReadFile(filepath.Join(dir, ours.name+".json"))
			must(t, err)
			s.cosign3Verifies(t, rec, layout == "tags")

			theirs := release{name: "theirs-" + layout, chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 1, dir: dir}
			s.signs(t, theirs, layout, func(image string) {
				s.cosign3(append([]string{"sign", "--yes", "--key", "cosign.key", image}, sign...)...).run(t)
			})
		})
	}
}

// cosign3Verifies lets it verify signature, provenance and measurement of a release.
func (s *stage) cosign3Verifies(t *testing.T, rec record.Record, isOlder bool) {
	t.Helper()
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	image := tag.Digest(rec.Image.Digest.String()).Name()
	for _, command := range [][]string{{"verify"}, {"verify-attestation", "--type", "slsaprovenance1"}, {"verify-attestation", "--type", record.MeasurementType}} {
		for _, c := range []struct {
			key, flag string
			fails     bool
		}{{"cosign.pub", "--new-bundle-format", false}, {"cosign.pub", older, !isOlder}, {"other.pub", "--new-bundle-format", true}, {"other.pub", older, true}} {
			run := s.cosign3(append(command, "--insecure-ignore-tlog", c.flag, "--key", c.key, image)...)
			run.fails = c.fails
			stdout, stderr := run.run(t)
			if command[0] == "verify" && strings.Contains(stdout+stderr, rec.Image.Digest.String()) == c.fails {
				t.Errorf("%v verified something else: %s%s", run.args, stdout, stderr)
			}
		}
	}
}

// cosign3 runs version 3, which can reach nobody but the registry: it must not ask.
func (s *stage) cosign3(args ...string) program {
	run := s.cosignRun(args)
	run.name = filepath.Join(s.bin, "cosign3")
	run.env = append(run.env, "HOME="+s.dir, "HTTPS_PROXY=http://127.0.0.1:1")
	return run
}
