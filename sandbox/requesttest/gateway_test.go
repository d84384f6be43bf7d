package requesttest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/sandbox/ipfs"
)

// store puts a file of a size into a gateway, and returns its bytes and its path.
func store(t *testing.T, size int) (content []byte, path string, g *ipfs.Gateway) {
	t.Helper()
	content = make([]byte, size)
	for i := range content {
		content[i] = byte(i % 251)
	}
	g = &ipfs.Gateway{}
	path, err := g.Add(content)
	must(t, err)
	return content, path, g
}

// download asks gateways, by their handlers, for a file.
func download(t *testing.T, path string, most int64, handlers ...http.Handler) (gateway.Got, []byte, error) {
	t.Helper()
	var urls []string
	for _, h := range handlers {
		server := httptest.NewServer(h)
		defer server.Close()
		urls = append(urls, server.URL)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "result"))
	must(t, err)
	defer f.Close()
	got, err := gateway.Gateways{URLs: urls, Most: most}.Download(t.Context(), path, f)
	content, reading := os.ReadFile(f.Name())
	must(t, reading)
	return got, content, err
}

// Files of one block, of several, and of blocks above blocks are compared with their
// address.
func TestDownload(t *testing.T) {
	for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 1 << 20, 174*(256<<10) + 1} {
		content, path, g := store(t, size)
		got, came, err := download(t, path, 0, g)
		if err != nil || !got.Checked || got.Size != int64(size) || !bytes.Equal(came, content) {
			t.Errorf("%d bytes: %+v, %v", size, got, err)
		}
	}
}

// altered is a gateway whose files, not their blocks, are altered on the way.
func altered(g http.Handler, alter func(w http.ResponseWriter, content []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			g.ServeHTTP(w, r)
			return
		}
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, whole)
		alter(w, rec.Body.Bytes())
	})
}

// Whatever a gateway does, what came is the file, or an error, or said to be unchecked; and
// an honest gateway behind it is asked.
func TestGatewaysThatLie(t *testing.T) {
	content, path, honest := store(t, 1<<20+5)
	flip := func(at int) http.Handler {
		return altered(honest, func(w http.ResponseWriter, b []byte) { b[at] ^= 1; w.Write(b) })
	}
	for name, h := range map[string]http.Handler{
		"the first bit":    flip(0),
		"a bit in between": flip(700_000),
		"the last bit":     flip(1<<20 + 4),
		"a part":           altered(honest, func(w http.ResponseWriter, b []byte) { w.Write(b[:1<<19]) }),
		"more":             altered(honest, func(w http.ResponseWriter, b []byte) { w.Write(append(b, 0)) }),
		"nothing":          altered(honest, func(http.ResponseWriter, []byte) {}),
		"another file":     altered(honest, func(w http.ResponseWriter, _ []byte) { fmt.Fprint(w, "hello") }),
	} {
		var forged *gateway.ForgedError
		if _, _, err := download(t, path, 0, h); !errors.As(err, &forged) {
			t.Errorf("%s: %v", name, err)
		}
		if got, came, err := download(t, path, 0, h, honest); err != nil || !got.Checked || !bytes.Equal(came, content) {
			t.Errorf("%s, before an honest one: %+v, %v", name, got, err)
		}
	}
	blocks := func(answer func(w http.ResponseWriter, r *http.Request)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "" {
				honest.ServeHTTP(w, r)
				return
			}
			answer(w, r)
		})
	}
	for name, h := range map[string]http.Handler{
		"no blocks":      blocks(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotImplemented) }),
		"other blocks":   blocks(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }),
		"the whole file": blocks(func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }),
		"an endless block": blocks(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}),
	} {
		got, came, err := download(t, path, 0, h)
		if err != nil || got.Checked || got.Unchecked == "" || !bytes.Equal(came, content) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A download that breaks off goes on where it was; one that is too large, or refused, ends.
func TestGatewaysThatFail(t *testing.T) {
	content, path, honest := store(t, 1<<20)
	var asked []string
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			asked = append(asked, r.Header.Get("Range"))
		}
		if len(asked) > 2 || r.URL.RawQuery != "" {
			honest.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(1<<20-(len(asked)-1)<<18))
		if len(asked) == 2 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 1<<18, 1<<20-1, 1<<20))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(content[(len(asked)-1)<<18 : len(asked)<<18])
		panic(http.ErrAbortHandler)
	})
	got, came, err := download(t, path, 0, broken)
	if err != nil || !got.Checked || !bytes.Equal(came, content) || strings.Join(asked, ",") != ",bytes=262144-,bytes=524288-" {
		t.Errorf("that breaks off: %+v, %v, asked for %q", got, err, asked)
	}
	var larger *bounds.Error
	if _, _, err := download(t, path, 1<<20-1, honest); !errors.As(err, &larger) {
		t.Errorf("too large: %v", err)
	}
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	})
	if _, _, err := download(t, path, 1<<20, endless); !errors.As(err, &larger) {
		t.Errorf("endless: %v", err)
	}
	var failed *gateway.Error
	_, other, _ := store(t, 5)
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusGone) })
	if _, _, err := download(t, other, 0, refuse); !errors.As(err, &failed) || failed.Status != http.StatusGone {
		t.Errorf("refused: %v", err)
	}
	if _, _, err := download(t, path, 0); !errors.As(err, &failed) {
		t.Errorf("none: %v", err)
	}
}
