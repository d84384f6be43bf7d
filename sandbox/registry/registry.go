// Package registry is an OCI registry in memory, with the referrers API of OCI
// 1.1 and what makes it usable by the clients of today.
package registry

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"sync"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

// Options are what registries differ in.
type Options struct {
	User, Password string // when there is a user, every request must log in
	// NoReferrers leaves the referrers API out, as several registries do:
	// clients then keep the list under a tag.
	NoReferrers bool
	Habits      []Habit // the first one is met first
}

// New returns an empty registry.
func New(o Options) http.Handler {
	h := ociserver.New(ocimem.New(), &ociserver.Options{DisableReferrersAPI: o.NoReferrers})
	h = mountNothing(uploads(h))
	if o.NoReferrers {
		h = hideSubject(h)
	} else {
		h = listNothing(h)
	}
	for _, habit := range slices.Backward(o.Habits) {
		h = habit(h)
	}
	if o.User != "" {
		h = login(h, o)
	}
	return h
}

// mountNothing answers an attempt to mount a blob by starting an upload, which
// the specification allows: ocimem answers 404 when it does not know the
// repository to mount from, and BuildKit's push fails on that.
func mountNothing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Query().Has("mount") {
			r.URL.RawQuery = ""
		}
		next.ServeHTTP(w, r)
	})
}

// uploads keeps those that were begun, as distribution does: a repository is not there
// before a blob is, and who began one can take it back. In ocimem an upload makes the
// repository, and stays for ever.
func uploads(next http.Handler) http.Handler {
	var mu sync.Mutex
	begun := map[string]bool{} // by path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isUpload(r) {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		known := begun[r.URL.Path]
		if r.Method == http.MethodDelete || r.Method == http.MethodPut {
			delete(begun, r.URL.Path)
		}
		mu.Unlock()
		switch {
		case r.Method == http.MethodPost && !r.URL.Query().Has("digest"):
			location := r.URL.Path + base64.RawURLEncoding.EncodeToString([]byte(rand.Text()))
			mu.Lock()
			begun[location] = true
			mu.Unlock()
			w.Header().Set("Location", location)
			w.Header().Set("Range", "0-0")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPost:
			next.ServeHTTP(w, r)
		case !known:
			refusal(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// listNothing answers the question for the referrers in a repository that does not
// exist with an empty list: a registry that has the API must not answer 404.
func listNothing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := inRepository.FindStringSubmatch(r.URL.Path)
		if m != nil && m[2] == "referrers" && ask(next, r, "/v2/"+m[1]+"/tags/list").Code == http.StatusNotFound {
			emptyList(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hideSubject removes the header by which a registry says that it knows the
// referrers API: ociserver sends it even when told to do without.
func hideSubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(subjectHider{w}, r)
	})
}

type subjectHider struct{ http.ResponseWriter }

func (w subjectHider) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

func login(next http.Handler, o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if equal(user, o.User) && equal(password, o.Password) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	})
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
