package result_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/request/result"
)

// A worker writes the archive: what it could do to the requester's machine is refused,
// and nothing of it is written.
func TestAttackNames(t *testing.T) {
	for name, entries := range map[string][]entry{
		"parent":              {{name: "../a"}},
		"parent within":       {{name: "a/../../b"}},
		"parent of its own":   {{name: "a/../b"}},
		"absolute":            {{name: "/etc/passwd"}},
		"backslash":           {{name: `..\a`}},
		"drive":               {{name: `C:a`}},
		"stream":              {{name: "a:b"}},
		"empty part":          {{name: "a//b"}},
		"dot":                 {{name: "./a"}},
		"no name":             {{name: ""}},
		"slash only":          {{name: "/"}},
		"escape":              {{name: "a\x1b[2Jb"}},
		"line end":            {{name: "a\nb"}},
		"zero":                {{name: "a\x00b"}},
		"right to left":       {{name: "a\u202egnp.exe"}},
		"no UTF-8":            {{name: "a\xff"}},
		"long":                {{name: strings.Repeat("a", 256)}},
		"deep":                {{name: strings.Repeat("a/", 64) + "b"}},
		"link":                {{name: "a", content: "/etc/passwd", mode: fs.ModeSymlink}},
		"link and through it": {{name: "a", content: "/etc", mode: fs.ModeSymlink}, {name: "a/passwd"}},
		"pipe":                {{name: "a", mode: fs.ModeNamedPipe}},
		"device":              {{name: "a", mode: fs.ModeDevice}},
		"socket":              {{name: "a", mode: fs.ModeSocket}},
		"twice":               {{name: "a", content: "1"}, {name: "a", content: "2"}},
		"folder twice":        {{name: "a/"}, {name: "b"}, {name: "B/"}},
		"letter case":         {{name: "computed.json", content: "1"}, {name: "Computed.json", content: "2"}},
		"letter case within":  {{name: "a/b"}, {name: "A/c"}},
		"special case":        {{name: "straße/k"}, {name: "straße/\u212a"}},
		"full case folding":   {{name: "straße/k"}, {name: "STRASSE/K"}},
		"ligature":            {{name: "\ufb01"}, {name: "fi"}},
		"space at the end":    {{name: "a "}, {name: "a"}},
		"dot at the end":      {{name: "a./b"}, {name: "a/c"}},
		"accents":             {{name: "caf\u00e9"}, {name: "cafe\u0301"}},
		"file as folder":      {{name: "a"}, {name: "a/b"}},
		"folder as file":      {{name: "a/b"}, {name: "a"}},
		"file with a slash":   {{name: "a/", mode: 0}, {name: "a", content: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decrypt(t, seal(t, result.CBC, archive(t, append([]entry{{name: "0", content: "first"}}, entries...)...)).pack(t), testKey())
			var refused *result.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n\x00\u202e") {
				t.Errorf("the error holds the name as it is: %q", err)
			}
		})
	}
}

// Ordinary names are none of these.
func TestNames(t *testing.T) {
	all := []entry{{name: "a/"}, {name: "a/b/c.txt"}, {name: "a/b/"}, {name: "..a"}, {name: "a..b"}, {name: "übung 1.txt"}, {name: "日本"}, {name: strings.Repeat("n", 255)}, {name: strings.Repeat("d/", 63) + "e"}}
	_, d, err := decrypt(t, seal(t, result.CBC, archive(t, all...)).pack(t), testKey())
	if err != nil || len(d.Files) != len(all)-2 {
		t.Errorf("%+v, %v", d.Files, err)
	}
}

// decryptMost decrypts with a limit, and returns the bytes that this allocates.
func decryptMost(t *testing.T, packed []byte, most int64) (takes int64, err error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
	if err == nil {
		_, err = result.Unpacking{Folder: filepath.Join(t.TempDir(), "out"), Most: most}.Decrypt(t.Context(), e, testKey())
	}
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc), err
}

// Archives that are small, and would be large.
func TestAttackBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	many := make([]entry, bounds.ResultFiles+1)
	for i := range many {
		many[i].name = fmt.Sprint(i)
	}
	deep := make([]entry, 400)
	for i := range deep {
		deep[i].name = fmt.Sprintf("%d/%s", i, strings.Repeat("d/", 60))
	}
	for name, packed := range map[string][]byte{
		"a large file":       seal(t, result.CBC, archive(t, entry{name: "a", content: zeros})).pack(t),
		"many larger ones":   seal(t, result.CBC, archive(t, entry{name: "a", content: zeros[:1<<19]}, entry{name: "b", content: zeros[:1<<19-5]})).pack(t),
		"many files":         seal(t, result.CBC, archive(t, many...)).pack(t),
		"many folders":       seal(t, result.CBC, archive(t, deep...)).pack(t),
		"a large directory":  seal(t, result.CBC, largeDirectory(t, 3<<20)).pack(t),
		"one outside":        largeDirectory(t, 400<<10),
		"a lie of its size":  seal(t, result.CBC, lying(t, zeros)).pack(t),
		"files that overlap": seal(t, result.CBC, overlapping(t)).pack(t),
	} {
		t.Run(name, func(t *testing.T) {
			takes, err := decryptMost(t, packed, 1<<20-10)
			if err == nil || !isClear(err) {
				t.Errorf("got %v", err)
			}
			t.Logf("%v, %d KB", err, takes>>10)
			if takes > 64<<20 {
				t.Errorf("it took %d MB", takes>>20)
			}
		})
	}
}

// largeDirectory returns an archive whose directory has so many bytes, for entries that
// it has not.
func largeDirectory(t *testing.T, size int) []byte {
	t.Helper()
	packed := archive(t, entry{name: "a"})
	end := len(packed) - 22
	start := int(binary.LittleEndian.Uint32(packed[end+16:]))
	header := packed[start:end]
	all := bytes.Repeat(header, size/len(header))
	tail := bytes.Clone(packed[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(size/len(header)))
	binary.LittleEndian.PutUint16(tail[10:], uint16(size/len(header)))
	binary.LittleEndian.PutUint32(tail[12:], uint32(len(all)))
	return append(append(bytes.Clone(packed[:start]), all...), tail...)
}

// lying returns an archive whose directory says that a file has a byte.
func lying(t *testing.T, content string) []byte {
	t.Helper()
	packed := archive(t, entry{name: "a", content: content})
	start := int(binary.LittleEndian.Uint32(packed[len(packed)-6:]))
	binary.LittleEndian.PutUint32(packed[start+24:], 1)
	return packed
}

// overlapping returns an archive of which two files have the same data.
func overlapping(t *testing.T) []byte {
	t.Helper()
	packed := archive(t, entry{name: "a", content: "x"})
	end := len(packed) - 22
	start := int(binary.LittleEndian.Uint32(packed[end+16:]))
	second := bytes.Clone(packed[start:end])
	second[len(second)-1] = 'b' // its name
	tail := bytes.Clone(packed[end:])
	binary.LittleEndian.PutUint16(tail[8:], 2)
	binary.LittleEndian.PutUint16(tail[10:], 2)
	binary.LittleEndian.PutUint32(tail[12:], uint32(2*len(second)))
	return append(append(bytes.Clone(packed[:end]), second...), tail...)
}

// A file of the right beginning that goes on without end is not read.
func TestAttackLargeResult(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.zip")
	must(t, os.WriteFile(file, archive(t, entry{name: "a"}), 0o600))
	must(t, os.Truncate(file, 1<<40))
	_, err := result.Unpacking{Folder: file + ".d", Most: 1}.DecryptFile(t.Context(), file, testKey())
	var larger *bounds.Error
	if !errors.As(err, &larger) || !larger.File || larger.Where != file {
		t.Errorf("got %v", err)
	}
}

func TestNoResult(t *testing.T) {
	var damaged *result.DamagedError
	var clear *result.ClearError
	for name, c := range map[string]struct {
		packed []byte
		want   any
	}{
		"nothing":      {nil, &damaged},
		"no archive":   {[]byte("hello"), &damaged},
		"other files":  {archive(t, entry{name: "a"}), &damaged},
		"no key":       {archive(t, entry{name: "iexec_out.zip.aes"}), &damaged},
		"no data":      {archive(t, entry{name: "iexec_out/encrypted_key"}), &damaged},
		"two formats":  {archive(t, entry{name: "aes-key.rsa"}, entry{name: "iexec_out/result.zip.aes"}), &damaged},
		"twice":        {archive(t, entry{name: "aes-key.rsa"}, entry{name: "aes-key.rsa"}, entry{name: "iexec_out.zip.aes"}), &damaged},
		"in the clear": {archive(t, entry{name: "computed.json"}), &clear},
		"a locked one": {locked(t), &damaged},
	} {
		if _, err := result.Open(bytes.NewReader(c.packed), int64(len(c.packed))); err == nil || !errors.As(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// locked returns an archive that says that it needs a password.
func locked(t *testing.T) []byte {
	t.Helper()
	packed := archive(t, entry{name: "aes-key.rsa"})
	packed[int(binary.LittleEndian.Uint32(packed[len(packed)-6:]))+8] |= 1
	return packed
}

// Whatever somebody packed, it ends with an error or with files in the folder, within
// the limit, and nothing is outside.
func FuzzDecrypt(f *testing.F) {
	for _, format := range formats() {
		f.Add(seal(f, format, archive(f, entry{name: "a/b", content: "x"})).pack(f))
	}
	f.Fuzz(func(t *testing.T, packed []byte) { _, _, _ = decrypt(t, packed, testKey()) })
}

// The same for what is inside, under the right key.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, entry{name: "a/b", content: "x"}, entry{name: "c/"}))
	f.Add(archive(f, entry{name: "../a", content: "x"}))
	f.Fuzz(func(t *testing.T, plain []byte) {
		dir, d, err := decrypt(t, seal(t, result.CBC, plain).pack(t), testKey())
		if err != nil {
			if !isClear(err) {
				t.Errorf("%v", err)
			}
			return
		}
		all := content(t, dir)
		var size int
		for _, f := range d.Files {
			size += len(all["/"+f.Name])
		}
		if len(all) != len(d.Files) || size > 1<<20 {
			t.Errorf("%d files with %d bytes, %d of them told", len(all), size, len(d.Files))
		}
		if _, err := zip.NewReader(bytes.NewReader(plain), int64(len(plain))); err != nil {
			t.Errorf("it is no archive: %v", err)
		}
	})
}

// A result of 100 MB, as an app that writes a model has it: what does not compress.
func BenchmarkDecrypt(b *testing.B) {
	const size = 100_000_000
	for _, format := range formats() {
		b.Run(string(format), func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "result.zip")
			must(b, os.WriteFile(file, seal(b, format, archive(b, entry{name: "model", content: string(random(size))})).pack(b), 0o600))
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.SetBytes(size)
			b.ResetTimer()
			for i := range b.N {
				_, err := result.Unpacking{Folder: fmt.Sprintf("%s.%d", file, i), Most: 2 * size}.DecryptFile(b.Context(), file, testKey())
				must(b, err)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/1e6, "allocated-MB/op")
		})
	}
}
