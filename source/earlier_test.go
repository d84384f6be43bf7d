package source

import (
	"strings"
	"testing"
)

// A file of another commit is what that commit has, wherever the clone has it, and
// whatever lies in the work tree.
func TestEarlier(t *testing.T) {
	t.Parallel()
	r := newCheckout(t)
	r.write("app/enclave.lock", "one\n")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "one")
	base := strings.TrimSpace(r.git("rev-parse", "HEAD"))
	first := strings.TrimSpace(r.git("rev-parse", "HEAD^"))
	r.write("app/enclave.lock", "two\n")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "two")
	r.write("app/enclave.lock", "three\n")
	o := options(r.dir)
	for _, test := range []struct {
		commit, file, want string
		found              bool
	}{
		{base, "app/enclave.lock", "one\n", true}, {first, "app/enclave.lock", "", true}, {base, "app", "", true}, {base, "app/a\nb", "", false},
		{strings.Repeat("0", 40), "app/enclave.lock", "", false}, {"HEAD", "app/enclave.lock", "", false}, {"--help", "app/enclave.lock", "", false}, {base[:12], "app/enclave.lock", "", false}, {"", "app/enclave.lock", "", false},
		{strings.TrimSpace(r.git("rev-parse", base+"^{tree}")), "app/enclave.lock", "", false},
	} {
		data, found, err := o.Earlier(t.Context(), test.commit, r.path(test.file))
		if err != nil || found != test.found || string(data) != test.want || (data == nil) != (test.want == "") {
			t.Errorf("%s of %s: %q, %t, %v", test.file, test.commit, data, found, err)
		}
	}
	shallow := checkout{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth", "1", "--no-recurse-submodules", "file://"+r.dir, "clone")
	if data, found, err := o.Earlier(t.Context(), base, shallow.path("clone/app/enclave.lock")); err != nil || found || data != nil {
		t.Errorf("a shallow clone: %q, %t, %v", data, found, err)
	}
	if data, found, err := o.Earlier(t.Context(), base, t.TempDir()+"/enclave.lock"); err != nil || found || data != nil {
		t.Errorf("no repository: %q, %t, %v", data, found, err)
	}
}
