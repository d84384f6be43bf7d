package worker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// The digests that package request/result compares with, made there by another library.
func TestDigest(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"one": "first", "out/a": "first", "out/b": "second", "out/c/d": "not counted", "deep/e/f": "not counted"} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for path, want := range map[string]string{
		"/iexec_out/one":  "0xa7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
		"/iexec_out/out/": "0xcc808428c5d08923229379158a49b5a9d63d3c01fe6fc896ea0369bdcf7db12f",
		"/iexec_out/deep": "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
	} {
		if got, err := (computed{Path: path}).digest(root); err != nil || got != common.HexToHash(want) {
			t.Errorf("%s: %s, %v; want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"", "/iexec_out/none", "/etc", "/iexec_output"} {
		if got, err := (computed{Path: path}).digest(root); err == nil {
			t.Errorf("%s: %s", path, got)
		}
	}
}
