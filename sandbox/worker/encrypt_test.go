package worker_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/mrelease/mrelease/request/result"
	"github.com/mrelease/mrelease/sandbox/worker"
)

// mrelease's own reader knows each format; in the interop tests iExec's command lines are
// the judges.
func TestEncrypt(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for format, want := range map[worker.Format]result.Format{worker.OAEP: result.OAEP, worker.ECB: result.ECB, worker.CBC: result.CBC} {
		for _, size := range []int{1, 15, 16, 17, 100_000} {
			plain := make([]byte, size)
			rand.Read(plain)
			packed, err := worker.Encrypt(bytes.Clone(plain), &key.PublicKey, format)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := opened.WriteArchive(&got, key); err != nil || opened.Format != want || !bytes.Equal(got.Bytes(), plain) {
				t.Errorf("%s, %d bytes: read as %s, %v, %d bytes", format, size, opened.Format, err, got.Len())
			}
		}
	}
}
