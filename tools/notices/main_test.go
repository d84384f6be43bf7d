package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const isc = `Copyright (c) 2020 A

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

// listed writes files below a folder, and what go list would say of packages in them.
func listed(t *testing.T, dir string, files map[string]string, packages ...string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for _, p := range packages {
		module, _, _ := strings.Cut(p, "/")
		text, err := json.Marshal(map[string]any{"ImportPath": p, "Dir": filepath.Join(dir, p), "Module": map[string]any{"Path": module, "Version": "v1.0.0", "Dir": filepath.Join(dir, module)}})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

func TestNotices(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "THIRD-PARTY")
	list := listed(t, dir, map[string]string{
		"a/LICENSE": isc, "a/NOTICE.txt": "a was made by A\r\n", "a/deep/er/x.go": "", "a/deep/COPYING": strings.ReplaceAll(isc, "2020 A", "2021 B"),
		"a/other/LICENSE": "not linked", "b/Licence.md": isc + "\n\n", "b/license.go": "package b",
	}, "a/deep/er", "b")
	if err := run(strings.NewReader(list), []string{out}, false); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for part, times := range map[string]int{
		"a v1.0.0: ISC\n": 1, "b v1.0.0: ISC\n": 1, "\na LICENSE\nb Licence.md\n=": 1, "\na deep/COPYING\n=": 1,
		"Copyright (c) 2020 A": 1, "Copyright (c) 2021 B": 1, "a was made by A\n": 1, "not linked": 0, "\r": 0,
	} {
		if n := strings.Count(string(text), part); n != times {
			t.Errorf("%q is there %d times, want %d, in\n%s", part, n, times, text)
		}
	}
	if err := run(strings.NewReader(list), []string{out}, true); err != nil {
		t.Errorf("checking what was written: %v", err)
	}
	newer := strings.ReplaceAll(list, "v1.0.0", "v1.0.1")
	if err := run(strings.NewReader(newer), []string{out}, true); err == nil || !strings.Contains(err.Error(), "make notices") {
		t.Errorf("another version is not noticed: %v", err)
	}
}

func TestNoticesRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no licence":         {map[string]string{"a/x.go": ""}, "a v1.0.0 has no licence"},
		"an unknown licence": {map[string]string{"a/LICENSE": "You may do with it what I say."}, "not known"},
		"a licence and more": {map[string]string{"a/LICENSE": isc + strings.Repeat("But you owe me a beer for each copy. ", 100)}, "not known"},
	} {
		list := listed(t, t.TempDir(), c.files, "a")
		err := run(strings.NewReader(list), []string{filepath.Join(t.TempDir(), "out")}, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := run(strings.NewReader(""), []string{"out"}, false); err == nil {
		t.Error("no packages are no error")
	}
}
