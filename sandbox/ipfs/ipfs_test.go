package ipfs_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mrelease/mrelease/sandbox/ipfs"
)

// What kubo's "ipfs add" prints for these files.
func TestAdd(t *testing.T) {
	for text, want := range map[string]string{
		"":              "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
		"hello world\n": "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
		"Hello World\n": "QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u",
	} {
		var g ipfs.Gateway
		got, err := g.Add([]byte(text))
		if err != nil || got != "/ipfs/"+want {
			t.Errorf("%q is at %s (%v), want %s", text, got, err, want)
		}
	}
}

// What ipfs-unixfs-importer 15, the JavaScript implementation, makes with kubo's settings.
func TestAddLarge(t *testing.T) {
	for size, want := range map[int]string{
		256 << 10:         "QmeqfRyS3vkku7n6krqC3DgGMex3x2sCpSeKMDmrG13QQq",
		256<<10 + 1:       "QmUSjGawaz4ptvREcMKSMJneWCa5j8dAz2wSAAvHtW2rnB",
		1 << 20:           "QmXgkY4miMKJBrg8YYke4xw6C2n8WNsUc1GXLhN84k4QM3",
		174*(256<<10) + 1: "QmTedsTekQQkgACJXb1sPZSW8bLdS9LPMrT7L4YdjNRd4n",
	} {
		file := make([]byte, size)
		for i := range file {
			file[i] = byte(i % 251)
		}
		var g ipfs.Gateway
		if got, err := g.Add(file); err != nil || got != "/ipfs/"+want {
			t.Errorf("%d bytes are at %s (%v), want %s", size, got, err, want)
		}
	}
}

func TestServe(t *testing.T) {
	var g ipfs.Gateway
	file := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // four pieces
	path, err := g.Add(file)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get(path); w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), file) {
		t.Errorf("%s: %d, %d bytes", path, w.Code, w.Body.Len())
	}
	if w := get(path + "?format=raw"); w.Code != http.StatusOK || w.Body.Len() > 1<<10 {
		t.Errorf("block: %d, %d bytes", w.Code, w.Body.Len())
	}
	for path, want := range map[string]int{
		"/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o": http.StatusGatewayTimeout,
		"/ipfs/nothing": http.StatusBadRequest, "/": http.StatusNotFound,
	} {
		if w := get(path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
