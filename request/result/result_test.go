//go:debug rsa1024min=0

package result_test

import (
	"archive/zip"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/request/result"
)

// testKey is smaller than those of beneficiaries: a test decrypts some thousand times.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return key
})

// entry is an entry of an archive.
type entry struct {
	name, content string
	mode          fs.FileMode
}

// archive makes a zip archive of entries as they are given.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode | 0o644)
		if strings.HasSuffix(e.name, "/") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err == nil && e.content != "" {
			_, err = io.WriteString(f, e.content)
		}
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// sealed is a result before it is packed: what tests damage.
type sealed struct {
	format    result.Format
	key, data []byte // as they are before base64
}

// seal encrypts an archive as the worker of a format's time did.
func seal(t testing.TB, format result.Format, plain []byte) sealed {
	t.Helper()
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(slices.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	secret, public := random(32), &testKey().PublicKey
	if format == result.ECB {
		secret = random(16)
	}
	block, err := aes.NewCipher(secret)
	must(t, err)
	s := sealed{format: format, data: make([]byte, len(plain))}
	switch format {
	case result.ECB:
		for i := 0; i < len(plain); i += aes.BlockSize {
			block.Encrypt(s.data[i:], plain[i:])
		}
		//lint:ignore SA1019 the format is that
		s.key, err = rsa.EncryptPKCS1v15(rand.Reader, public, []byte(base64.StdEncoding.EncodeToString(secret)))
	default:
		iv := random(aes.BlockSize)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(s.data, plain)
		s.data = append(iv, s.data...)
		//lint:ignore SA1019 the format is that
		s.key, err = rsa.EncryptPKCS1v15(rand.Reader, public, secret)
		if format == result.OAEP {
			s.key, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, public, secret, nil)
		}
	}
	must(t, err)
	return s
}

// pack makes the archive that a requester downloads.
func (s sealed) pack(t testing.TB) []byte {
	t.Helper()
	switch s.format {
	case result.OAEP:
		return archive(t, entry{name: "stdout.txt", content: "hello"}, entry{name: "iexec_out/result.zip.aes", content: string(s.data)},
			entry{name: "iexec_out/iv", content: string(s.data[:min(16, len(s.data))])}, entry{name: "iexec_out/encrypted_key", content: string(s.key)})
	case result.ECB:
		return archive(t, entry{name: "iexec_out.zip.aes", content: base64.StdEncoding.EncodeToString(s.data)},
			entry{name: "aes-key.rsa", content: base64.StdEncoding.EncodeToString(s.key)})
	}
	return archive(t, entry{name: "iexec_out.zip.aes", content: string(s.data)}, entry{name: "aes-key.rsa", content: string(s.key)})
}

func formats() []result.Format { return []result.Format{result.OAEP, result.ECB, result.CBC} }

// decrypt decrypts a packed result into a new folder.
func decrypt(t testing.TB, packed []byte, key *rsa.PrivateKey) (dir string, d result.Decrypted, err error) {
	t.Helper()
	parent := t.TempDir()
	dir = filepath.Join(parent, "out")
	e, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
	if err == nil {
		d, err = result.Unpacking{Folder: dir, Most: 1 << 20}.Decrypt(t.Context(), e, key)
	}
	left, listed := os.ReadDir(parent)
	must(t, listed)
	if err != nil && len(left) > 0 {
		t.Errorf("an error (%v) leaves %v", err, left)
	}
	return dir, d, err
}

func readKey(t *testing.T, file string) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return key.(*rsa.PrivateKey)
}

// What the command line made of a real result, byte for byte.
func TestFixture(t *testing.T) {
	packed, err := os.ReadFile("testdata/encryptedResults.zip")
	must(t, err)
	want, err := os.ReadFile("testdata/decryptedResults.zip")
	must(t, err)
	key := readKey(t, "testdata/beneficiary_key.pem")

	e, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	var plain bytes.Buffer
	must(t, e.WriteArchive(&plain, key))
	if !bytes.Equal(plain.Bytes(), want) {
		t.Errorf("the archive has %d bytes, other ones than the %d of the command line's", plain.Len(), len(want))
	}
	dir, d, err := decrypt(t, packed, key)
	must(t, err)
	if d.Format != result.CBC {
		t.Errorf("format %s", d.Format)
	}
	there, err := zip.NewReader(bytes.NewReader(want), int64(len(want)))
	must(t, err)
	if len(d.Files) != len(there.File) {
		t.Errorf("files %+v, want %d", d.Files, len(there.File))
	}
	for _, f := range there.File {
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		if got, err := os.ReadFile(filepath.Join(dir, f.Name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %q, %v", f.Name, got, err)
		}
	}
}

// Sizes around the blocks and chunks in which is decrypted.
func TestFormats(t *testing.T) {
	for _, format := range formats() {
		for _, size := range []int{0, 1, 15, 16, 17, 100, 128<<10 - 300, 128 << 10, 256<<10 + 5} {
			content := string(random(size))
			plain := archive(t, entry{name: "iexec_out/"}, entry{name: "iexec_out/result.bin", content: content}, entry{name: "computed.json", content: "{}"})
			dir, d, err := decrypt(t, seal(t, format, plain).pack(t), testKey())
			if err != nil || d.Format != format || len(d.Files) != 2 || d.Files[0].Name != "computed.json" {
				t.Errorf("%s, %d bytes: %+v, %v", format, size, d, err)
				continue
			}
			got, err := os.ReadFile(filepath.Join(dir, "iexec_out", "result.bin"))
			if err != nil || string(got) != content {
				t.Errorf("%s, %d bytes: another content (%v)", format, size, err)
			}
		}
	}
}

// Nobody but the user reads the result, and nothing but it is there.
func TestModes(t *testing.T) {
	dir, _, err := decrypt(t, seal(t, result.CBC, archive(t, entry{"a/b", "x", 0o4777})).pack(t), testKey())
	must(t, err)
	for name, want := range map[string]fs.FileMode{".": 0o700 | fs.ModeDir, "a": 0o700 | fs.ModeDir, "a/b": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("there is %v, %v", all, err)
	}
}

func TestExistingFolderIsNotWrittenTo(t *testing.T) {
	packed := seal(t, result.CBC, archive(t, entry{name: "a", content: "x"})).pack(t)
	e, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	for name, make := range map[string]func(string) error{
		"empty folder":  func(p string) error { return os.Mkdir(p, 0o700) },
		"file":          func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"dangling link": func(p string) error { return os.Symlink("/nowhere/x", p) },
	} {
		dir := filepath.Join(t.TempDir(), "out")
		must(t, make(dir))
		var there *result.ExistsError
		if _, err := (result.Unpacking{Folder: dir, Most: 9}).Decrypt(t.Context(), e, testKey()); !errors.As(err, &there) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOtherKey(t *testing.T) {
	same, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	larger, err := rsa.GenerateKey(rand.Reader, 1536)
	must(t, err)
	for _, format := range formats() {
		packed := seal(t, format, archive(t, entry{name: "a", content: "x"})).pack(t)
		for _, key := range []*rsa.PrivateKey{same, larger} {
			var other *result.KeyError
			if _, _, err := decrypt(t, packed, key); !errors.As(err, &other) {
				t.Errorf("%s: %v", format, err)
			}
		}
	}
}

// isClear reports whether an error says that a result is damaged.
func isClear(err error) bool {
	var damaged *result.DamagedError
	var refused *result.RefusedError
	var key *result.KeyError
	var larger *bounds.Error
	return errors.As(err, &damaged) || errors.As(err, &refused) || errors.As(err, &key) || errors.As(err, &larger)
}

// content returns what a folder holds.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(data)
		return err
	}))
	return all
}

// sample is an archive of some blocks.
func sample(t *testing.T) []byte {
	t.Helper()
	return archive(t, entry{name: "result.bin", content: string(random(100))}, entry{name: "computed.json", content: `{"deterministic-output-path":"/iexec_out/result.bin"}`})
}

// A cut of the packed archive, or of the data in it, is an error wherever it is.
func TestTruncated(t *testing.T) {
	for _, format := range formats() {
		s := seal(t, format, sample(t))
		packed := s.pack(t)
		for n := 0; n < len(packed); n += 13 {
			if _, _, err := decrypt(t, packed[:n], testKey()); !isClear(err) {
				t.Fatalf("%s: %d of %d bytes: %v", format, n, len(packed), err)
			}
		}
		for n := 0; n < len(s.data); n += 5 {
			cut := sealed{format, s.key, s.data[:n]}
			if _, _, err := decrypt(t, cut.pack(t), testKey()); !isClear(err) {
				t.Fatalf("%s: %d of %d bytes of the data: %v", format, n, len(s.data), err)
			}
		}
	}
}

// A flipped bit of the data, under a right checksum, is an error or changes nothing:
// the first local header holds what the directory says again.
func TestFlipped(t *testing.T) {
	for _, format := range formats() {
		s := seal(t, format, sample(t))
		dir, _, err := decrypt(t, s.pack(t), testKey())
		must(t, err)
		want, harmless := content(t, dir), 0
		for i := 0; i < len(s.data); i += 3 {
			other := sealed{format, s.key, slices.Clone(s.data)}
			other.data[i] ^= 1 << (i % 8)
			dir, _, err := decrypt(t, other.pack(t), testKey())
			if err != nil && !isClear(err) {
				t.Fatalf("%s: byte %d: %v", format, i, err)
			}
			if err != nil {
				continue
			}
			harmless++
			for name, value := range content(t, dir) {
				if want[name] != value {
					t.Fatalf("%s: byte %d: %s is another one, and no error", format, i, name)
				}
			}
		}
		if harmless > len(s.data)/12 {
			t.Errorf("%s: %d of %d flips are no error", format, harmless, len(s.data)/3)
		}
	}
}

// A flipped bit of the archive around is found by its own checksums, or changes nothing.
func TestFlippedOutside(t *testing.T) {
	for _, format := range formats() {
		packed := seal(t, format, sample(t)).pack(t)
		dir, _, err := decrypt(t, packed, testKey())
		must(t, err)
		want := content(t, dir)
		for i := 0; i < len(packed); i += 7 {
			other := slices.Clone(packed)
			other[i] ^= 1 << (i % 8)
			dir, _, err := decrypt(t, other, testKey())
			if err != nil && !isClear(err) {
				t.Fatalf("%s: byte %d: %v", format, i, err)
			}
			if err == nil && len(content(t, dir)) != len(want) {
				t.Fatalf("%s: byte %d: other files, and no error", format, i)
			}
		}
	}
}

// Any two blocks that change places are an error: in ECB they decrypt as they are.
func TestReordered(t *testing.T) {
	for _, format := range formats() {
		s := seal(t, format, sample(t))
		last := len(s.data)/aes.BlockSize - 1
		for i := range last {
			for _, j := range []int{i + 1, last} {
				a, b := s.data[i*16:i*16+16], s.data[j*16:j*16+16]
				if bytes.Equal(a, b) {
					continue
				}
				other := sealed{format, s.key, slices.Clone(s.data)}
				copy(other.data[i*16:], b)
				copy(other.data[j*16:], a)
				if _, _, err := decrypt(t, other.pack(t), testKey()); !isClear(err) {
					t.Fatalf("%s: blocks %d and %d: %v", format, i, j, err)
				}
			}
		}
	}
}
