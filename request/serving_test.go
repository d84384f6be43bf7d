package request_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/request"
)

// What a service says of itself is told as its word, and what it does not say as that. The
// routes are those of iExec's TeeController.
func TestServing(t *testing.T) {
	type answers map[string]string // by path; what is absent is 404
	for name, tt := range map[string]struct {
		answers            answers
		framework, version string
		want               string
	}{
		"the version": {answers{"/tee/framework": `"SCONE"`, "/tee/properties/SCONE/v5": "{}"}, "SCONE", "v5", "serves SCONE in version v5, as it says"},
		"another":     {answers{"/tee/framework": `"TDX"`}, "SCONE", "v5", "serves TDX, as it says, and the app is of SCONE: its runs get nothing from it"},
		"no version":  {answers{"/tee/framework": `"SCONE"`}, "SCONE", "v9", "serves SCONE, as it says, and does not have version v9: runs of the app fail with it"},
		"before 9":    {answers{"/tee/framework": `"SCONE"`, "/tee/properties/SCONE": "{}"}, "SCONE", "v5", "serves SCONE, as it says, and tells nothing of versions"},
		"unsaid":      {answers{"/tee/framework": `"SCONE"`}, "", "", "serves SCONE, as it says; what the app is of is not in its configuration"},
		"of before":   {answers{}, "SCONE", "v5", "does not say which framework it serves: the secret service answered GET /tee/framework with 404"},
		"a page":      {answers{"/tee/framework": "<html>"}, "SCONE", "v5", "does not say which framework it serves: its answer is no framework's name"},
		"an escape":   {answers{"/tee/framework": `"\u001b[2J"`}, "SCONE", "v5", "does not say which framework it serves: its answer is no framework's name"},
		"too long":    {answers{"/tee/framework": `"` + strings.Repeat("A", 33) + `"`}, "SCONE", "v5", "does not say which framework it serves: its answer is no framework's name"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer, ok := tt.answers[r.URL.EscapedPath()]
			if !ok || r.Method != http.MethodGet {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			if _, err := w.Write([]byte(answer)); err != nil {
				t.Error(err)
			}
		}))
		if got := (request.Service{URL: server.URL}).Serving(t.Context(), tt.framework, tt.version); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		server.Close()
	}
}
