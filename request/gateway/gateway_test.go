package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// stalling hands out a part of a file with each answer, and then says nothing more, until
// that is given up after a time.
type stalling struct {
	content    []byte
	part, last int // bytes of an answer; of the one after which there is no more
	after      time.Duration
	asked      int
}

// RoundTrip implements [http.RoundTripper].
func (s *stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked++
	from, header, status := 0, http.Header{}, http.StatusOK
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
		status = http.StatusPartialContent
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.content)-1, len(s.content)))
	}
	if s.last > 0 && from >= s.last {
		s.part = 0
	}
	rest := s.content[from:]
	body := io.Reader(bytes.NewReader(rest))
	if len(rest) > s.part {
		time.Sleep(s.after)
		body = io.MultiReader(bytes.NewReader(rest[:s.part]), iotest.ErrReader(&bounds.SlowError{Where: "gateway", What: "sends less", After: s.after}))
	}
	return &http.Response{StatusCode: status, Header: header, ContentLength: int64(len(rest)), Body: io.NopCloser(body)}, nil
}

// A download that came on as fast as it must goes on at the same gateway after a stall: the
// next one would begin anew. One that did not come on is left for another at once.
func TestStalls(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	for name, c := range map[string]struct {
		from   stalling
		others bool
		asked  int
		isSlow bool
	}{
		"of a download that moves":         {stalling{part: 256 << 10}, true, 4, false},
		"again, where it moves no more":    {stalling{part: 256 << 10, last: 512 << 10}, true, 3, true},
		"of one that hardly moves":         {stalling{part: 1 << 10}, true, 1, true},
		"of nothing":                       {stalling{}, true, 1, true},
		"of nothing, and nobody else":      {stalling{}, false, resumptions + 1, true},
		"of one that moves, and no others": {stalling{part: 256 << 10}, false, 4, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "result"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			c.from.content, c.from.after = content, 30*time.Second
			d := &download{client: &http.Client{Transport: &c.from}, base: &url.URL{Scheme: "https", Host: "gateway"}, path: "/ipfs/x", file: f, most: 1 << 21}
			err = d.whole(t.Context(), c.others)
			var slow *bounds.SlowError
			if c.from.asked != c.asked || errors.As(err, &slow) != c.isSlow || !c.isSlow && err != nil {
				t.Errorf("a stall %s: asked %d times, want %d; %v", name, c.from.asked, c.asked, err)
			}
			if got, err := os.ReadFile(f.Name()); err != nil || !c.isSlow && !bytes.Equal(got, content) {
				t.Errorf("a stall %s: the file is another, %v", name, err)
			}
		})
	}
}
