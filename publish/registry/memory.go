package registry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"

	"github.com/mrelease/mrelease/outside"
)

// remembered bounds what a memory holds, in bytes: a stranger may have put a thousand
// manifests of megabytes beside an image, and those are read anew.
const remembered = 16 << 20

// Remembering returns a client for one verification: it logs in once, and asks for each
// manifest and each list once. So all that it says is of one moment, and what others write
// meanwhile is not seen. Blobs are asked for each time.
func (c Client) Remembering() Client {
	c.memory = &memory{logins: map[string]http.RoundTripper{}, answers: map[string]remark{}}
	return c
}

// maxLogins bounds how many logins are kept from one verification to the next.
const maxLogins = 100

// Forget drops what a remembering client was answered, for the next verification, which need
// not log in again where this one did. Nothing may be asked meanwhile.
func (c Client) Forget() {
	if c.memory != nil {
		c.memory.forget()
	}
}

func (m *memory) forget() {
	m.lock.Lock()
	defer m.lock.Unlock()
	clear(m.answers)
	m.size = 0
	if len(m.logins) > maxLogins {
		clear(m.logins)
	}
}

// memory is what a registry said.
type memory struct {
	lock    sync.Mutex
	logins  map[string]http.RoundTripper // by registry and scope
	answers map[string]remark            // by URL
	size    int
}

// remark is an answer.
type remark struct {
	header http.Header
	body   []byte
}

// login is that of an earlier session, or a new one. Two sessions that begin at the same
// time may both log in.
func (m *memory) login(at string, login func() (http.RoundTripper, error)) (http.RoundTripper, error) {
	if m == nil {
		return login()
	}
	m.lock.Lock()
	known := m.logins[at]
	m.lock.Unlock()
	if known != nil {
		return known, nil
	}
	rt, err := login()
	if err != nil {
		return nil, err
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.logins[at] = rt
	return rt, nil
}

func (m *memory) recall(url string) (r remark, known bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	r, known = m.answers[url]
	return r, known
}

func (m *memory) keep(url string, r remark) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if _, known := m.answers[url]; !known && m.size+len(r.body) <= remembered {
		m.answers[url], m.size = r, m.size+len(r.body)
	}
}

// recalling answers from memory. It is below the login, which asks for itself.
type recalling struct {
	*memory
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. A question for a manifest's head is one for the
// manifest, which is asked for next.
func (r recalling) RoundTrip(req *http.Request) (*http.Response, error) {
	asks := isManifest(req) && req.Method == http.MethodHead || (isManifest(req) || isList(req)) && req.Method == http.MethodGet
	if !asks {
		return r.next.RoundTrip(req)
	}
	at := req.URL.String()
	if known, ok := r.recall(at); ok {
		return known.response(req), nil
	}
	get := req.Clone(req.Context())
	get.Method = http.MethodGet
	resp, err := r.next.RoundTrip(get)
	if err != nil || resp.StatusCode != http.StatusOK {
		if err == nil {
			resp.Request = req
		}
		return resp, err
	}
	body, err := io.ReadAll(resp.Body) // the transport bounds it
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	said := remark{resp.Header, body}
	if isManifest(req) { // it is what its bytes are, whatever the registry says
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(body))
		said.header.Set("Docker-Content-Digest", digest)
		named := *req.URL
		named.Path = path.Dir(req.URL.Path) + "/" + digest
		r.keep(named.String(), said)
	}
	r.keep(at, said)
	return said.response(req), nil
}

func isManifest(r *http.Request) bool { return outside.InRegistry(r) == "manifests" }

func isList(r *http.Request) bool { return outside.InRegistry(r) == "referrers" }

func (r remark) response(req *http.Request) *http.Response {
	resp := &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header.Clone(), ContentLength: int64(len(r.body)), Request: req,
		Body: io.NopCloser(bytes.NewReader(r.body)),
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}
