package approvals_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/cmd/approvals"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/release"
)

// A plan's file that would be a part of the source is told with the ignore file that counts,
// which may be the Dockerfile's own; of a file that none leaves out none is named.
func TestInSource(t *testing.T) {
	for ignore, want := range map[string]string{"app/App.Dockerfile.dockerignore": "app/App.Dockerfile.dockerignore", "": "the Dockerfile's own"} {
		err := &release.InSourceError{Path: "plan.json", Ignore: ignore}
		rule, found := usage.Find(approvals.Rules(), fmt.Errorf("planning: %w", err))
		if !found || rule.Code != "E-OUTPUT" || !strings.Contains(rule.Remedy(err), want) {
			t.Errorf("%q: %s, %q", ignore, rule.Code, rule.Remedy(err))
		}
		evidence := fmt.Sprint(err.Evidence())
		if strings.Contains(evidence, ".dockerignore") != (ignore != "") || !strings.Contains(evidence, ignore) {
			t.Errorf("%q: %s", ignore, evidence)
		}
	}
}
