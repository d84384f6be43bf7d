package result_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/request/result"
)

// unpacked unpacks a result in clear whose computed.json names a path, and compares its digest.
func unpacked(t *testing.T, path, want string) (result.Decrypted, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "result.zip")
	must(t, os.WriteFile(file, archive(t,
		entry{name: "computed.json", content: `{"deterministic-output-path":"` + path + `"}`},
		entry{name: "one", content: "first"}, entry{name: "out/a", content: "first"}, entry{name: "out/b", content: "second"},
		entry{name: "out/c/d", content: "not counted"}, entry{name: "deep/e/f", content: "not counted"},
	), 0o600))
	u := result.Unpacking{Folder: filepath.Join(dir, "result"), Most: 1 << 20, Want: common.HexToHash(want)}
	return u.UnpackFile(t.Context(), file, nil)
}

// What workers contribute of a file, of a folder, and of one without files, as ethers
// computes SHA-256 and Keccak-256.
func TestDigest(t *testing.T) {
	const nothing = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
	for path, want := range map[string]string{
		"/iexec_out/one":    "0xa7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
		"/iexec_out/out":    "0xcc808428c5d08923229379158a49b5a9d63d3c01fe6fc896ea0369bdcf7db12f",
		"/iexec_out//out/.": "0xcc808428c5d08923229379158a49b5a9d63d3c01fe6fc896ea0369bdcf7db12f",
		"/iexec_out/deep":   nothing,
	} {
		d, err := unpacked(t, path, want)
		if err != nil || d.Digest != want || d.Unchecked != "" {
			t.Errorf("%s: %+v, %v; want %s", path, d, err, want)
		}
		var other *result.DigestError
		if _, err := unpacked(t, path, "0x01"); !errors.As(err, &other) || other.Got != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, why := range map[string]string{"": "names no deterministic-output-path", "/iexec_out/none": "is not in the result"} {
		if d, err := unpacked(t, path, nothing); err != nil || d.Digest != "" || !strings.Contains(d.Unchecked, why) {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
}
