package ci_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/ci"
)

func TestSettingIsConfigurationOfTheSystem(t *testing.T) {
	for _, tt := range []struct {
		variable, key, want string
	}{
		{"GITHUB_ACTIONS", "env", "${{ secrets.COSIGN_PASSWORD }}"},
		{"GITLAB_CI", "variables", "$SECRET_COSIGN_PASSWORD"},
	} {
		text := ci.Setting(func(name string) string { return map[string]string{tt.variable: "true"}[name] }, "COSIGN_PASSWORD")
		var got map[string]map[string]string
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || got[tt.key]["COSIGN_PASSWORD"] != tt.want {
			t.Errorf("%s: got %v, %v of\n%s", tt.variable, got, err, text)
		}
	}
	if text := ci.Setting(func(string) string { return "" }, "COSIGN_PASSWORD"); strings.TrimSpace(text) != "" {
		t.Errorf("without a system: %s", text)
	}
}
