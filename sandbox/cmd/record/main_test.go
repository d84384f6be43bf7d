package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	out, timing := filepath.Join(dir, "out"), filepath.Join(dir, "timing")
	for file, text := range map[string]string{out: "Script started on a day [TERM=\"x\"]\n\x1b[32m✓\x1b[0m a\r\n<b>\nScript done", timing: "0.001 6\n0.004 4\n1.5 5\n0.3 4\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got bytes.Buffer
	err := head{Version: 2, Width: 80, Height: 24, Title: "t", Idle: 2}.record(out, timing, &got)
	want := `{"version":2,"width":80,"height":24,"title":"t","idle_time_limit":2,"env":null}
[0,"o","\u001b[32m✓\u001b["]
[1.5,"o","0m a\r"]
[1.8,"o","\n<b>"]
`
	if err != nil || got.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, &got, want)
	}
	if err := os.WriteFile(timing, []byte("1 1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (head{}).record(out, timing, &got); err == nil {
		t.Error("a timing of another output is taken")
	}
}

// A letter that came in two parts is whole.
func TestPieces(t *testing.T) {
	var got []string
	err := pieces([]byte("a✓b"), []byte("0.1 2\n0.1 3\n"), func(_ float64, text string) error {
		got = append(got, text)
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != "a" || got[1] != "✓b" {
		t.Errorf("%q, %v", got, err)
	}
}
