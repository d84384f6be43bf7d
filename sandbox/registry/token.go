package registry

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// tokens gives out tokens for what they were asked for: a repository and the acts in it.
type tokens struct {
	mu      sync.Mutex
	granted map[string]map[string][]string
}

// quay is a registry that wants a token for each repository, and gives out none for
// reading one that does not exist.
func quay() Habit {
	t := &tokens{granted: map[string]map[string][]string{}}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/auth" {
				t.grant(w, r, next)
				return
			}
			repository, need := "", "pull"
			if m := inRepository.FindStringSubmatch(r.URL.Path); m != nil {
				repository = m[1]
			}
			if !isRead(r) {
				need = "push"
			}
			if !t.allows(r, repository, need) {
				challenge(w, r, repository, need)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func challenge(w http.ResponseWriter, r *http.Request, repository, need string) {
	wanted := `Bearer realm="http://` + r.Host + `/auth",service="sandbox"`
	if need == "push" {
		need = "pull,push"
	}
	if repository != "" {
		wanted += `,scope="repository:` + repository + ":" + need + `"`
	}
	w.Header().Set("WWW-Authenticate", wanted)
	refusal(w, http.StatusUnauthorized, "UNAUTHORIZED", "access to the requested resource is not authorized")
}

// grant answers with a token.
func (t *tokens) grant(w http.ResponseWriter, r *http.Request, next http.Handler) {
	user, password, _ := r.BasicAuth()
	if !equal(user, Robot) || !equal(password, RobotPassword) {
		refusal(w, http.StatusUnauthorized, "UNAUTHORIZED", "bad user")
		return
	}
	rights := map[string][]string{}
	for scope := range strings.FieldsSeq(strings.Join(r.URL.Query()["scope"], " ")) {
		_, rest, _ := strings.Cut(scope, ":")
		repository, acts, _ := strings.Cut(rest, ":")
		asked := strings.Split(acts, ",")
		if slices.Contains(asked, "push") || ask(next, r, "/v2/"+repository+"/tags/list").Code == http.StatusOK {
			rights[repository] = append(rights[repository], asked...)
		}
	}
	token := rand.Text()
	t.mu.Lock()
	t.granted[token] = rights
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// allows reports whether a request's token allows it.
func (t *tokens) allows(r *http.Request, repository, need string) bool {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	rights, known := t.granted[token]
	return isBearer && known && (repository == "" || slices.Contains(rights[repository], need))
}
