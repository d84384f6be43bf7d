// Package gateway downloads files of IPFS from gateways, which are anybody's: a download
// goes on where it broke off, and what came is compared with the address, which is a hash.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
)

// Gateways are asked one after the other, until one has the file.
type Gateways struct {
	URLs []string
	Most int64             // bytes of a file; 0: bounds.Result
	Tell func(text string) // is told of what went wrong before something went well; may be nil
}

// Got is a file that was downloaded.
type Got struct {
	Size    int64
	Gateway string // scheme and host
	// Checked says that the bytes are those that the address names; else Unchecked says
	// why that is not known.
	Checked   bool
	Unchecked string
}

// Error says that a gateway did not hand out a file.
type Error struct {
	URL     string // scheme and host
	Path    string
	Status  int    // of HTTP; 0: no answer
	Problem string // in words
	Err     error  // the network's; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("downloading %s from %s: %s", e.Path, e.URL, e.Problem)
}

// Unwrap returns the network's error.
func (e *Error) Unwrap() error { return e.Err }

// Evidence returns the request and the answer.
func (e *Error) Evidence() [][2]string {
	facts := [][2]string{{"request", "GET " + e.Path}, {"problem", e.Problem}}
	if e.Status != 0 {
		facts = append(facts, [2]string{"status", fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))})
	}
	return append(facts, [2]string{"where", e.URL})
}

// ForgedError says that a gateway handed out other bytes than the address names.
type ForgedError struct {
	URL, Path string
	Problem   string
}

// Error implements error.
func (e *ForgedError) Error() string {
	return fmt.Sprintf("%s hands out another file than %s", e.URL, e.Path)
}

// Evidence returns where the bytes differ.
func (e *ForgedError) Evidence() [][2]string {
	return [][2]string{{"expected", "the bytes that " + e.Path + " is the hash of"}, {"actual", e.Problem}, {"where", e.URL}}
}

// Download writes a file of IPFS, by its path /ipfs/CID, into f, which is emptied first.
// Its error is that of the last gateway: an *Error, a *ForgedError, or of f; a
// *bounds.Error for a file that is too large, which no other gateway is asked for.
func (g Gateways) Download(ctx context.Context, path string, f *os.File) (got Got, err error) {
	if len(g.URLs) == 0 {
		return Got{}, &Error{URL: "(none)", Path: path, Problem: "no gateway is named"}
	}
	for i, base := range g.URLs {
		if got, err = g.from(ctx, base, path, f); err == nil {
			return got, nil
		}
		var larger *bounds.Error
		if ctx.Err() != nil || errors.As(err, &larger) {
			return Got{}, err
		}
		if i < len(g.URLs)-1 && g.Tell != nil {
			g.Tell(err.Error() + ": asking the next gateway")
		}
	}
	return Got{}, err
}

// Check compares a file that was downloaded before with its path. The gateways are asked for
// the blocks in between only, which a file of one block has none of. It returns why it cannot
// be compared; "" for a file that is what the path names. Its error is a *ForgedError, or of f.
func (g Gateways) Check(ctx context.Context, path string, f *os.File) (unchecked string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading result: %w", err)
	}
	unchecked = "no gateway is named"
	for _, base := range g.URLs {
		d, err := g.download(base, path, f)
		if err != nil {
			return "", err
		}
		d.at = info.Size()
		if unchecked, err = d.check(ctx); err != nil || unchecked == "" {
			return "", err
		}
	}
	return unchecked, nil
}

// resumptions is how often a download that broke off goes on, and after what wait at first.
const (
	resumptions = 5
	firstWait   = 500 * time.Millisecond
)

// from downloads from one gateway.
func (g Gateways) from(ctx context.Context, base, path string, f *os.File) (Got, error) {
	d, err := g.download(base, path, f)
	if err != nil {
		return Got{}, err
	}
	if err := f.Truncate(0); err != nil {
		return Got{}, fmt.Errorf("writing result: %w", err)
	}
	if err := d.whole(ctx, base != g.URLs[len(g.URLs)-1]); err != nil {
		return Got{}, err
	}
	got := Got{Size: d.at, Gateway: redact.URL(base)}
	got.Unchecked, err = d.check(ctx)
	got.Checked = err == nil && got.Unchecked == ""
	return got, err
}

// whole downloads the file, and goes on where that broke off. A gateway that is too slow is
// left at once while there are others: it would be waited for as long again. One that came on
// before it stalled is not, as another would begin anew.
func (d *download) whole(ctx context.Context, others bool) error {
	wait, moved := firstWait, progress{since: time.Now()}
	for try := 0; ; try++ {
		err := d.fetch(ctx)
		if err == nil {
			return nil
		}
		moving := moved.on(d.at, time.Now())
		if moving { // what moves is not given up
			try = 0
		}
		if !isTransient(err) || others && !moving && isSlow(err) || try >= resumptions {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 8*firstWait)
	}
}

// isTransient tells of what the same gateway may do better the next time.
func isTransient(err error) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && (failed.Status == 0 || failed.Status >= 500 || failed.Status == http.StatusTooManyRequests)
}

// isSlow tells of a gateway that sends too little in its time, or nothing at all.
func isSlow(err error) bool {
	var slow *bounds.SlowError
	var silent net.Error
	return errors.As(err, &slow) || errors.As(err, &silent) && silent.Timeout()
}

// progress is how far a download was when it last came on as fast as one answer must.
type progress struct {
	at    int64 // bytes
	since time.Time
}

// on reports whether a download is further than ever, at the pace that is asked of a blob:
// else a gateway that breaks off after each byte is never given up.
func (p *progress) on(at int64, now time.Time) bool {
	if at <= p.at || float64(at-p.at) < bounds.RateFloor*now.Sub(p.since).Seconds() {
		return false
	}
	*p = progress{at, now}
	return true
}

// download is a file on its way.
type download struct {
	client *http.Client
	base   *url.URL
	path   string
	file   *os.File
	most   int64
	at     int64 // bytes that are there
}

func (g Gateways) download(base, path string, f *os.File) (*download, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, &Error{URL: redact.URL(base), Path: path, Problem: "its address is no URL", Err: errors.New("malformed URL")}
	}
	most := g.Most
	if most == 0 {
		most = bounds.Result
	}
	isBlob := func(r *http.Request) bool { return r.URL.Query().Get("format") == "" }
	transport := outside.Transport(outside.Service{Host: u.Host, Most: bounds.Block, Blob: isBlob})
	return &download{client: &http.Client{Transport: transport}, base: u, path: path, file: f, most: most}, nil
}

// get asks for the file, or another form of it.
func (d *download) get(ctx context.Context, path, query string, header http.Header) (*http.Response, error) {
	u := *d.base
	u.Path, u.RawQuery = strings.TrimSuffix(u.Path, "/")+path, query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, d.fail(0, err)
	}
	req.Header = header
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, d.fail(0, err)
	}
	return resp, nil
}

func (d *download) fail(status int, err error) error {
	if err == nil {
		return &Error{redact.URL(d.base.String()), d.path, status, fmt.Sprintf("it answers %d", status), nil}
	}
	err = redact.Error(err)
	return &Error{redact.URL(d.base.String()), d.path, status, err.Error(), err}
}

// fetch downloads what is missing.
func (d *download) fetch(ctx context.Context) error {
	header := http.Header{"Accept": {"application/zip, application/octet-stream;q=0.9, */*;q=0.5"}, "Accept-Encoding": {"identity"}}
	if d.at > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	}
	resp, err := d.get(ctx, d.path, "", header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && d.at > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.at)):
	case resp.StatusCode == http.StatusOK: // all of it, whatever was asked for
		d.at = 0
	default:
		return d.fail(resp.StatusCode, nil)
	}
	if resp.ContentLength > d.most-d.at {
		return d.larger()
	}
	if _, err := d.file.Seek(d.at, io.SeekStart); err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	from := &source{r: io.LimitReader(resp.Body, d.most-d.at+1)}
	n, err := io.Copy(d.file, from)
	d.at += n
	switch {
	case from.err != nil:
		return d.fail(0, fmt.Errorf("it broke off after %d bytes: %w", d.at, from.err))
	case err != nil:
		return fmt.Errorf("writing result: %w", err)
	case d.at > d.most:
		return d.larger()
	case resp.ContentLength >= 0 && n < resp.ContentLength:
		return d.fail(0, fmt.Errorf("it broke off after %d bytes", d.at))
	}
	if err := d.file.Truncate(d.at); err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	return nil
}

func (d *download) larger() error {
	return &bounds.Error{Where: d.base.Host, What: "the size of the result", Most: bounds.Bytes(d.most)}
}

// source tells what is wrong with the network from what is wrong with the disk.
type source struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
