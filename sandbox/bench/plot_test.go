package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A drawing has a panel for each series that was measured, and is the same each time.
func TestDraw(t *testing.T) {
	dir := t.TempDir()
	r := newReport(false, 1)
	first, second := filepath.Join(dir, "1.svg"), filepath.Join(dir, "2.svg")
	if err := r.draw(first); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first); err == nil {
		t.Error("it draws nothing")
	}
	for i, seconds := range []float64{0.4, 3, 200} {
		r.Rows = append(r.Rows, row{Name: "between", Unit: "s", Ours: values(1)},
			row{Ours: values(seconds), Theirs: values(2 * seconds), At: &point{bySize, float64(10 * (i + 1))}},
			row{Ours: values(seconds), Theirs: values(seconds / 2), At: &point{byApps, float64(i + 1)}})
	}
	if err := r.draw(first); err != nil {
		t.Fatal(err)
	}
	if err := r.draw(second); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(second); err != nil || !bytes.Equal(drawn, again) {
		t.Error("drawn twice it differs", err)
	}
	for word, times := range map[string]int{bySize: 1, byApps: 1, byFiles: 0, "mrelease": 2, "buildctl": 2} {
		if got := strings.Count(string(drawn), ">"+word+"<"); got != times {
			t.Error("it says "+word, strconv.Itoa(got)+" times")
		}
	}
}

// The axes end at powers of ten, also where all values are one.
func TestDecades(t *testing.T) {
	for _, c := range [][4]float64{{0.4, 200, 0.1, 1000}, {1, 100, 1, 100}, {10, 10, 10, 100}, {3, 4, 1, 10}} {
		if from, to := decades(c[0], c[1]); from != c[2] || to != c[3] {
			t.Errorf("%v to %v: %v to %v, want %v to %v", c[0], c[1], from, to, c[2], c[3])
		}
	}
}
