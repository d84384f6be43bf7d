package bounds_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/bounds"
)

// SECURITY.md tells every bound, as it is.
func TestSecurityTellsTheBounds(t *testing.T) {
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n| of what | at most |\n| --- | --- |\n")
	if !ok {
		t.Fatal("SECURITY.md has no table with the head | of what | at most |")
	}
	var told []bounds.Bound
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 2 {
			break
		}
		told = append(told, bounds.Bound{What: strings.TrimPrefix(cells[0], "| "), Most: strings.TrimSuffix(cells[1], " |")})
	}
	for _, b := range bounds.All() {
		if !slices.Contains(told, b) {
			t.Errorf("SECURITY.md lacks: | %s | %s |", b.What, b.Most)
		}
	}
	if len(told) < len(bounds.All()) {
		t.Errorf("SECURITY.md has %d bounds, want %d", len(told), len(bounds.All()))
	}
}
