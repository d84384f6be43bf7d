package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A canary that cannot be run is refused with all else that is wrong, before any network;
// one that nobody asks for is not looked at.
func TestCanary(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"judge": 0o700, "notes": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	for text, want := range map[string]string{
		"run: false, params: '{\"unknown\": 1}', judge: nothing": "",
		"run: true": "",
		"run: true, judge: judge, params: /in --fast":                           "",
		"run: true, file: a/b, digest: '" + digest + "'":                        "",
		"run: true, params: '{\"unknown\": 1}'":                                 "canary.params",
		"run: true, params: '{\"iexec_result_encryption\": true}'":              "canary.params",
		"run: true, params: '{\"iexec_secrets\": {\"0\": \"a\"}}'":              "canary.params",
		"run: true, params: '{\"iexec_result_storage_provider\": \"dropbox\"}'": "canary.params",
		"run: true, file: a":                              "canary.file",
		"run: true, digest: '" + digest + "'":             "canary.file",
		"run: true, file: ../a, digest: '" + digest + "'": "canary.file",
		"run: true, judge: nothing":                       "canary.judge",
		"run: true, judge: notes":                         "canary.judge",
		"run: true, judge: .":                             "canary.judge",
		"run: true, judge: judge, judge-timeout: 0s":      "canary.judge-timeout",
		"run: true, timeout: -1s":                         "canary.timeout",
		"run: true, max-price: 9007199254740992":          "canary.max-price",
	} {
		file := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(file, []byte("canary: {"+text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Read(Sources{Files: []string{file}, Getenv: func(string) string { return "" }})
		c.checkCanary()
		var got []string
		for _, p := range c.Problems {
			got = append(got, p.Key)
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: problems %+v, want %q", text, c.Problems, want)
		}
	}
}

// A command stays as it is written; an object says where the result is put.
func TestCanaryRequestText(t *testing.T) {
	for params, want := range map[string]string{
		"":                       `{"iexec_result_storage_provider":"ipfs"}`,
		"python3 /app/app.py":    "python3 /app/app.py",
		`{"iexec_args":"a <b>"}`: `{"iexec_args":"a <b>","iexec_result_storage_provider":"ipfs"}`,
	} {
		if got, err := (Canary{Params: params}).RequestText(); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", params, got, err, want)
		}
	}
}
