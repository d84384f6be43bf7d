package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Habit is what a registry of the world out there does otherwise than the
// specification has it, or than its neighbours do.
type Habit func(next http.Handler) http.Handler

// The one who may push where a habit wants a login.
const (
	Robot         = "robot"
	RobotPassword = "registry-password-e08d"
)

// HabitNames are the names of all, in order:
//
//	quay          a token to read a repository is refused until something is in it
//	artifactory   403 for a tag that is not there
//	gitlab        the tag sha256-DIGEST is taken for the digest
//	ref303 … 503  the status of the referrers API; 303 sends on to a page for people
//	false200      the referrers API answers a page for people, with 200
//	empty200      the referrers API answers a list, which is always empty
//	charset       its content type has a parameter
//	nosub         a manifest with a subject is taken without a word (no OCI-Subject)
//	nosubject     and here it is refused
//	noartifact    manifests without an image's configuration are refused
//	immutable     a tag is written once
//	stale         an index under a tag is shown for two reads as it was before
//	stale-later   and here for the third read
//	busy          the first write is asked to come again later
//	pages         lists of referrers and of tags come in pages of two, each with a link to
//	              the next
//	reader        everybody may read, and nobody begin to write
//	uncancelled   an upload that was begun cannot be taken back
func HabitNames() []string { return slices.Sorted(maps.Keys(habits())) }

// Habits returns the habits of these names, joined by commas. The first one is met
// first.
func Habits(names string) (all []Habit, err error) {
	for name := range strings.SplitSeq(names, ",") {
		habit, ok := habits()[name]
		if !ok {
			return nil, fmt.Errorf("no registry has the habit %q", name)
		}
		all = append(all, habit())
	}
	return all, nil
}

func habits() map[string]func() Habit {
	all := map[string]func() Habit{
		"quay":        quay,
		"artifactory": func() Habit { return forbidMissing },
		"gitlab":      func() Habit { return tagAsDigest },
		"false200":    func() Habit { return referrers(page) },
		"empty200":    func() Habit { return referrers(emptyList) },
		"charset":     func() Habit { return withCharset },
		"nosub":       func() Habit { return hideSubject },
		"nosubject": func() Habit {
			return refuse(`"subject"`, http.StatusBadRequest, "manifest invalid: unknown field subject")
		},
		"noartifact": func() Habit {
			return refuse(`application/vnd.oci.empty.v1+json`, http.StatusUnsupportedMediaType, "unsupported config media type")
		},
		"immutable":   func() Habit { return writeOnce },
		"stale":       func() Habit { return stale(1, 2) },
		"stale-later": func() Habit { return stale(3) },
		"busy":        busy,
		"pages":       func() Habit { return inPages },
		"reader":      func() Habit { return refuseUploads },
		"uncancelled": func() Habit { return keepUploads },
	}
	for _, status := range []int{303, 400, 401, 403, 404, 405, 406, 500, 501, 503} {
		all["ref"+strconv.Itoa(status)] = func() Habit { return referrers(fail(status)) }
	}
	return all
}

// The parts of a path: of a repository, of a manifest, of the tag that names a digest.
var (
	inRepository = regexp.MustCompile(`^/v2/(.+?)/(manifests|blobs|referrers|tags)/`)
	ofManifest   = regexp.MustCompile(`^/v2/.+/manifests/([^/]+)$`)
	ofDigestTag  = regexp.MustCompile(`^/v2/.+/manifests/sha256-[0-9a-f]{64}$`)
)

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// ask asks the registry behind a habit.
func ask(next http.Handler, r *http.Request, path string) *httptest.ResponseRecorder {
	to := r.Clone(r.Context())
	to.Method, to.URL.Path, to.URL.RawPath, to.URL.RawQuery, to.Body = http.MethodGet, path, "", "", http.NoBody
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, to)
	return answer
}

// refusal answers with an error in the registries' form.
func refusal(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func forbidMissing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRead(r) && ofManifest.MatchString(r.URL.Path) && ask(next, r, r.URL.Path).Code == http.StatusNotFound {
			refusal(w, http.StatusForbidden, "DENIED", "Not enough permissions")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tagAsDigest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ofDigestTag.MatchString(r.URL.Path) {
			r.URL.Path = strings.Replace(r.URL.Path, "/manifests/sha256-", "/manifests/sha256:", 1)
		}
		next.ServeHTTP(w, r)
	})
}

// referrers answers in the place of the referrers API.
func referrers(answer http.HandlerFunc) Habit {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch m := inRepository.FindStringSubmatch(r.URL.Path); {
			case m != nil && m[2] == "referrers":
				answer(w, r)
			case r.URL.Path == "/login":
				page(w, r)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

func fail(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if status == http.StatusSeeOther {
			http.Redirect(w, r, "/login", status)
			return
		}
		refusal(w, status, "UNSUPPORTED", "referrers")
	}
}

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, "<html>welcome</html>")
}

func emptyList(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", string(types.OCIImageIndex))
	io.WriteString(w, `{"schemaVersion":2,"mediaType":"`+string(types.OCIImageIndex)+`","manifests":[]}`)
}

func withCharset(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := inRepository.FindStringSubmatch(r.URL.Path)
		if m == nil || m[2] != "referrers" {
			next.ServeHTTP(w, r)
			return
		}
		answer := ask(next, r, r.URL.Path)
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type")+"; charset=utf-8")
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// refuse refuses manifests in which a text occurs.
func refuse(text string, status int, message string) Habit {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && ofManifest.MatchString(r.URL.Path) {
				body, err := io.ReadAll(r.Body)
				if err != nil || bytes.Contains(body, []byte(text)) {
					refusal(w, status, "MANIFEST_INVALID", message)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			next.ServeHTTP(w, r)
		})
	}
}

func writeOnce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := ofManifest.FindStringSubmatch(r.URL.Path)
		if r.Method == http.MethodPut && m != nil && !strings.Contains(m[1], ":") && ask(next, r, r.URL.Path).Code == http.StatusOK {
			refusal(w, http.StatusBadRequest, "TAG_INVALID", "The image tag already exists and cannot be overwritten because the repository is immutable.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// stale shows, at these reads after a write of an index, what was there before.
func stale(at ...int) Habit {
	var mu sync.Mutex
	before, reads := map[string]*httptest.ResponseRecorder{}, map[string]int{}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			path := r.URL.Path
			switch {
			case !ofDigestTag.MatchString(path):
			case r.Method == http.MethodPut:
				before[path], reads[path] = ask(next, r, path), 0
			case before[path] != nil:
				if reads[path]++; slices.Contains(at, reads[path]) {
					maps.Copy(w.Header(), before[path].Header())
					w.WriteHeader(before[path].Code)
					w.Write(before[path].Body.Bytes())
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

func busy() Habit {
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			isBusy := false
			if r.Method == http.MethodPut {
				once.Do(func() { isBusy = true })
			}
			if isBusy {
				w.Header().Set("Retry-After", "1")
				refusal(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// pageSize is how many entries a page has.
const pageSize = 2

// inPages cuts the whole list, which the registry behind it gives, into pages. Its links
// are relative, as the specification has them.
func inPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := inRepository.FindStringSubmatch(r.URL.Path)
		entries := map[string]string{"referrers": "manifests", "tags": "tags"}
		if m == nil || entries[m[2]] == "" || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		answer := ask(next, r, r.URL.Path)
		var list map[string]json.RawMessage
		var all []json.RawMessage
		if answer.Code == http.StatusOK && json.Unmarshal(answer.Body.Bytes(), &list) == nil && json.Unmarshal(list[entries[m[2]]], &all) == nil {
			from, _ := strconv.Atoi(r.URL.Query().Get("from")) // none is 0
			from = min(max(from, 0), len(all))
			to := min(from+pageSize, len(all))
			if to < len(all) {
				w.Header().Set("Link", fmt.Sprintf(`<%s?from=%d>; rel="next"`, r.URL.EscapedPath(), to))
			}
			list[entries[m[2]]], _ = json.Marshal(all[from:to]) // of what was JSON
			page, _ := json.Marshal(list)
			answer.Body = bytes.NewBuffer(page)
			answer.Header().Del("Content-Length")
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// isUpload tells the requests for an upload, and to begin one.
func isUpload(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/uploads/") }

func refuseUploads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && isUpload(r) {
			refusal(w, http.StatusForbidden, "DENIED", "installation not allowed to Write organization package")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func keepUploads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && isUpload(r) {
			refusal(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
			return
		}
		next.ServeHTTP(w, r)
	})
}
