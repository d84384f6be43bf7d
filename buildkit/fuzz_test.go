package buildkit

import (
	"path/filepath"
	"strings"
	"testing"
)

// The short form of a reference is its own short form, and what it is short for
// has the same one.
func FuzzContextName(f *testing.F) {
	for _, seed := range []string{"debian", "debian:latest", "docker.io/library/debian", "localhost:5000/a/b:1", "a@" + zero, "a:latest@" + zero, "UPPER", "", "latest:latest", "a/latest"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		name, err := contextName(ref)
		if err != nil {
			return
		}
		if again, err := contextName(name); err != nil || again != name {
			t.Errorf("%q is short for %q, and that for %q, %v", name, ref, again, err)
		}
		if strings.Contains(name, "@") {
			return
		}
		if tagged, err := contextName(name + ":latest"); err == nil && tagged != name {
			t.Errorf("%q and %q are not the same", name, tagged)
		}
	})
}

func FuzzParseLayout(f *testing.F) {
	for _, seed := range []string{"oci-layout:///folder@" + zero, "oci-layout://folder@" + zero, "/a@b@" + zero, "oci-layout:///@sha512:12", "", "@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		folder, digest, err := parseLayout(value)
		if err != nil {
			return
		}
		if !filepath.IsAbs(folder) || digest.Validate() != nil {
			t.Errorf("%q gives %q and %q", value, folder, digest)
		}
		if whole := folder + "@" + digest.String(); strings.TrimPrefix(value, schemeLayout) != whole {
			t.Errorf("%q gives %q", value, whole)
		}
	})
}
