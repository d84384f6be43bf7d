package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stranger is what nobody may put onto a terminal, a chain or a CI system's log.
const stranger = "a\x1b[2J\n::add-mask::x\n_GitHubActionsFileCommandDelimeter_\u202e"

func problems(t *testing.T, text string, environment map[string]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mrelease.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Read(Sources{Files: []string{file}, Getenv: func(name string) string { return environment[name] }})
	return fmt.Sprint(c.all())
}

// Each value and each name of everyKey is replaced by a stranger's words: all are
// refused but those of build arguments, which only the build sees.
func TestAttackConfigurationTexts(t *testing.T) {
	value := regexp.MustCompile(`(?:[{ ,\[]|^)[\w:".-]+: ("[^"]*"|[^{}\[\],\n]+)|[\[ ](\w+|"\w+")[,\]]`)
	found := 0
	for _, m := range value.FindAllStringSubmatchIndex(everyKey, -1) {
		from, to := m[2], m[3]
		if from < 0 {
			from, to = m[4], m[5]
		}
		line := everyKey[strings.LastIndexByte(everyKey[:from], '\n')+1 : to]
		if strings.Contains(line, "args: {") {
			continue
		}
		found++
		changed := everyKey[:from] + fmt.Sprintf("%q", stranger) + everyKey[to:]
		if got := problems(t, changed, nil); !regexp.MustCompile(`cannot be seen|want`).MatchString(got) {
			t.Errorf("%s is taken with a stranger's words: %s", line, got)
		}
	}
	if found < 40 {
		t.Errorf("%d values were tried, everyKey has more", found)
	}
	for _, entry := range []string{"build: {args: {%q: x}}", "build: {secrets: {%q: {env: A}}}", "build: {contexts: {%q: a}}", "chains: {%q: {id: 1}}"} {
		for _, name := range []string{stranger, "", " ", "a b", "a\u200b", strings.Repeat("a", 256), "::a"} {
			if got := problems(t, fmt.Sprintf(entry, name), nil); !strings.Contains(got, "want a name") {
				t.Errorf(entry+": %s", name, got)
			}
		}
	}
	for _, variable := range []string{"MRELEASE_RECORD", "MRELEASE_NAME", "MRELEASE_CHAIN", "MRELEASE_WALLET_KEYSTORE", "MRELEASE_BUILD_CONTEXT"} {
		if got := problems(t, "", map[string]string{variable: stranger}); !strings.Contains(got, "cannot be seen") {
			t.Errorf("%s: %s", variable, got)
		}
	}
}

// Whatever action runs around this program has inputs of its own, and the runner too.
func TestVariablesOfOtherPrograms(t *testing.T) {
	c := Read(Sources{Getenv: func(name string) string {
		if strings.HasPrefix(name, "MRELEASE_") {
			return ""
		}
		return "evil"
	}})
	if len(c.Problems) > 0 || len(c.places) > 0 || c.Settings.Name != "" {
		t.Errorf("taken from variables that are not this program's: %v, %+v", c.places, c.Settings)
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{
		"build: {args: {A: \"line\\nline\", _B: c}}":  "[]",
		"build: {contexts: {\"docker.io/a/b:1\": x}}": "[]",
		"name: größe":                                               "[]",
		"name: " + strings.Repeat("ä", MaxName):                     "[]",
		"name: " + strings.Repeat("ä", MaxName+1):                   "129 letters",
		"name: \"gro\\u0308\"":                                      "NFC",
		"name: \" a\"":                                              "space",
		"record: " + strings.Repeat("a", maxText+1):                 "4097 bytes",
		"build: {args: {A: \"a\\0b\"}}":                             "UTF-8",
		"build: {args: {A: " + strings.Repeat("a", maxArg+1) + "}}": "32769 bytes",
	} {
		if got := problems(t, text, nil); !strings.Contains(got, want) {
			t.Errorf("%.60s: %s, want %s", text, got, want)
		}
	}
}
