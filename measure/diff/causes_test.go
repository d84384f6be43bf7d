package diff

import (
	"strings"
	"testing"
)

// Causes stand in one order, whatever was met first, and those by design last.
func TestOrderOfCauses(t *testing.T) {
	changes := []Change{
		{Kind: Mtime, Path: "/a"}, {Random: true, Path: "/conf"}, {Kind: Content, Path: "/tmp/x"}, {Kind: Package, Path: "curl"}, {Kind: Content, Path: "/etc/machine-id"},
	}
	const want = "packages without pinned versions, machine id, temporary files, random seal, times of other inputs"
	for range changes {
		changes = append(changes[1:], changes[0])
		counted := newTally(1, 2, true)
		for _, c := range changes {
			counted.note(c, facts{})
		}
		var got []string
		for _, c := range counted.list() {
			got = append(got, c.Name)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%v", got)
		}
	}
}
