package buildkit_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// folder makes a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLint(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		want       []buildkit.Finding // Text and Cure are BuildKit's own
	}{
		"nothing":          {"FROM scratch\nENTRYPOINT [\"/a\"]\n", nil},
		"casing":           {"FROM scratch as A\nENTRYPOINT [\"/a\"]\n", []buildkit.Finding{{Line: 1, Code: "StageNameCasing"}, {Line: 1, Code: "FromAsCasing"}}},
		"an empty line":    {"FROM scratch\nRUN a && \\\n\n  b\nENTRYPOINT [\"/a\"]\n", []buildkit.Finding{{Line: 4, Code: "NoEmptyContinuation"}}},
		"maintainer":       {"FROM scratch\nMAINTAINER a\nENTRYPOINT [\"/a\"]\n", []buildkit.Finding{{Line: 2, Code: "MaintainerDeprecated"}}},
		"a rule silenced":  {"# check=skip=MaintainerDeprecated\nFROM scratch\nMAINTAINER a\nENTRYPOINT [\"/a\"]\n", nil},
		"another frontend": {"# syntax=example.com/frontend\nFROM scratch\nENTRYPOINT [\"/a\"]\n", nil},
	} {
		src := buildkit.Source{Context: folder(t, map[string]string{"Dockerfile": tt.dockerfile})}
		found, err := src.Lint(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, f := range found {
			if f.Text == "" || !strings.Contains(f.Cure, "https://") {
				t.Errorf("%s: finding without text or cure: %+v", name, f)
			}
			found[i] = buildkit.Finding{Line: f.Line, Code: f.Code}
		}
		if len(found) != len(tt.want) {
			t.Errorf("%s: found %+v, want %+v", name, found, tt.want)
			continue
		}
		for i := range found {
			if found[i] != tt.want[i] {
				t.Errorf("%s: found %+v, want %+v", name, found, tt.want)
			}
		}
	}
}

func TestLintRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile, target string
		line               int
		want               string
	}{
		"an unknown instruction": {"FROM scratch\nCOPPY a b\n", "", 2, "did you mean COPY?"},
		"no FROM":                {"ARG A\n", "", 0, "no FROM"},
		"empty":                  {"", "", 0, ""},
		"an unknown stage":       {"FROM scratch AS a\nFROM scratch AS b\n", "c", 0, `no stage is called "c", only: a, b`},
		"no named stage":         {"FROM scratch\n", "c", 0, `no other has a name: FROM IMAGE AS c`},
		"a bad check line":       {"# check=foo=bar\nFROM scratch\n", "", 0, "foo"},
	} {
		dir := folder(t, map[string]string{"Dockerfile": tt.dockerfile})
		_, err := buildkit.Source{Context: dir, Target: tt.target}.Lint(t.Context())
		var be *buildkit.BuildError
		if !errors.As(err, &be) || be.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a BuildError at line %d about %q", name, err, tt.line, tt.want)
		}
	}
}

func TestLintNamesTheLineOfAnIgnoreFile(t *testing.T) {
	for text, line := range map[string]int{"[\n": 1, "# a\n\n*.log\n a[b\n": 4, "!\n": 1, "a\n[z-a]\n": 2, "*\n!a\n\\": 3, "*\n!a\n": 0, "\ufeff# a\n*\n": 0} {
		dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\nENTRYPOINT [\"/a\"]\n", ".dockerignore": text})
		_, err := buildkit.Source{Context: dir}.Lint(t.Context())
		var ignore *buildkit.IgnoreError
		if errors.As(err, &ignore) != (line > 0) || line > 0 && (ignore.Line != line || ignore.File != filepath.Join(dir, ".dockerignore")) {
			t.Errorf("%q: %v, want an IgnoreError of line %d", text, err, line)
		}
		// What the builder is given must agree.
		if _, err := (buildkit.Source{Context: dir}).Digest(t.Context()); (err != nil) != (line > 0) {
			t.Errorf("%q: the build's own reading: %v", text, err)
		}
	}
}

func TestSends(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch", ".dockerignore": "*\n!src\nsrc/*.key\n", "src/a": ""})
	all := folder(t, map[string]string{"Dockerfile": "FROM scratch"})
	for _, tt := range []struct {
		context, path string
		want          bool
	}{
		{dir, "src/a", true},
		{dir, "src", true},
		{dir, "src/my.key", false},
		{dir, ".git", false},
		{dir, "dist/record.json", false},
		{dir, "../x", false},
		{all, ".git", true},
		{all, "dist/record.json", true},
		{all, "..", false},
	} {
		got, err := buildkit.Source{Context: tt.context}.Sends(filepath.Join(tt.context, tt.path))
		if err != nil || got != tt.want {
			t.Errorf("%s: sent = %t, %v, want %t", tt.path, got, err, tt.want)
		}
	}
}

func TestLintOfEnclaves(t *testing.T) {
	const head = "FROM scratch\nENTRYPOINT [\"/a\"]\n"
	for name, tt := range map[string]struct {
		dockerfile string
		want       []string // codes
	}{
		"settings of the shell alone": {head + "RUN SCONE_MODE=sim SCONE_HEAP=1G && mkdir /conf\n", []string{"SettingNotExported"}},
		"exported settings":           {head + "RUN export SCONE_HEAP=1G && mkdir /conf\n", nil},
		"settings of one command":     {head + "RUN mkdir /a && SCONE_HASH=1 python3 > /conf/f\n", nil},
		"printed only":                {head + "RUN echo \"MREnclave: $(SCONE_HASH=1 python3)\"\n", []string{"FingerprintOnlyPrinted"}},
		"etc as a region":             {head + "RUN for d in /usr /etc /app; do scone fspf addr f $d; done\n", []string{"EtcRegion"}},
		"part of etc":                 {head + "RUN for d in /usr /etc/ssl; do scone fspf addr f $d; done\n", nil},
		"a key in a layer":            {head + "COPY there.pem /\nRUN openssl genrsa -3 -out /k 3072 && rm /k\n", []string{"KeyInLayer", "KeyInLayer"}},
		"a floating base":             {"FROM python:3.12\nENTRYPOINT [\"/a\"]\n", []string{"FloatingBase"}},
		"a base with digest":          {"FROM python@sha256:" + strings.Repeat("a", 64) + "\nENTRYPOINT [\"/a\"]\n", nil},
		"a pinned base":               {"FROM pinned:1\nENTRYPOINT [\"/a\"]\n", nil},
		"a stage as base":             {"FROM scratch AS a\nENTRYPOINT [\"/a\"]\nFROM a\n", nil},
		"another platform":            {"FROM --platform=linux/arm64 scratch\nENTRYPOINT [\"/a\"]\n", []string{"PlatformNotAMD64"}},
		"no entrypoint":               {"FROM scratch\nCOPY there /\n", []string{"NoEntrypoint"}},
		"a base of one's own name":    {"FROM pinned:1 AS pinned\nRUN true\n", []string{"NoEntrypoint"}},
		"an empty entrypoint":         {head + "ENTRYPOINT []\n", []string{"NoEntrypoint"}},
		"an empty word":               {"FROM scratch\nENTRYPOINT [\"\"]\n", []string{"NoEntrypoint"}},
		"an empty command":            {"FROM pinned:1\nCMD []\n", []string{"NoEntrypoint"}},
		"a command that is gone":      {"FROM pinned:1 AS a\nCMD [\"/a\"]\nFROM a\nENTRYPOINT []\n", []string{"NoEntrypoint"}},
		"a command in its place":      {"FROM pinned:1\nENTRYPOINT []\nCMD [\"/a\"]\n", nil},
		"a command before it":         {"FROM pinned:1\nCMD [\"/a\"]\nENTRYPOINT []\n", nil},
		"arguments":                   {"FROM pinned:1\nCMD [\"sh\"]\n", nil},
		"a shell's entrypoint":        {"FROM pinned:1\nENTRYPOINT python3 /app/app.py\n", []string{"ShellEntrypoint"}},
		"a shell as entrypoint":       {"FROM pinned:1\nENTRYPOINT [\"/bin/bash\", \"-c\", \"python3 /app/app.py\"]\n", []string{"ShellEntrypoint"}},
		"a script as entrypoint":      {"FROM pinned:1\nENTRYPOINT [\"/start.sh\"]\n", []string{"ShellEntrypoint"}},
		"a shell's command":           {"FROM pinned:1\nENTRYPOINT []\nCMD python3 /app/app.py\n", []string{"ShellEntrypoint"}},
		"a program in place of shell": {"FROM pinned:1\nSHELL [\"/usr/bin/python3\", \"-c\"]\nENTRYPOINT import app\n", nil},
		"a shell of a stage below":    {"FROM pinned:1 AS a\nENTRYPOINT run\nFROM a\nCMD [\"x\"]\n", []string{"ShellEntrypoint"}},
		"any library":                 {head + "ENV SCONE_ALLOW_DLOPEN=2\n", []string{"AnyLibrary"}},
		"an ignored file":             {head + "COPY ./there left/out /\nADD --chown=1 left /\n", []string{"IgnoredFile", "IgnoredFile"}},
		"an ignored file in a mount":  {head + "RUN --mount=source=left/out,target=/x true\n", []string{"IgnoredFile"}},
		"an ignored file, unused":     {"FROM scratch AS a\nCOPY left/out /\n" + head, []string{"CopyIgnoredFile"}},
		"an ignored file, used":       {"FROM scratch AS a\nCOPY left/out /\n" + head + "COPY --from=A /out /\n", []string{"IgnoredFile"}},
		"used by number, in a mount":  {"FROM scratch\nCOPY left/out /\n" + head + "RUN --mount=from=0,target=/x true\n", []string{"IgnoredFile"}},
		"an ignored wildcard":         {head + "COPY left/o* ther* /\n", []string{"CopyIgnoredFile"}},
		"a missing file":              {head + "COPY missing /\n", nil}, // an earlier step of a CI job may make it
		"what cannot be told":         {head + "ARG A=left\nCOPY $A/out /\nADD https://example.com/left git@example.com:left.git /\nCOPY --from=left /left /\nCOPY link/left /\nCOPY <<left /left\nx\nleft\n", nil},
		"silenced":                    {"# check=skip=NoEntrypoint\nFROM scratch\n", nil},
	} {
		dir := folder(t, map[string]string{"Dockerfile": tt.dockerfile, "there": "", "there.pem": "", "left/out": "", ".dockerignore": "left\n"})
		if err := os.Symlink("there", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		src := buildkit.Source{
			Context: dir,
			Bases:   map[string]string{"pinned:1": "sha256:" + strings.Repeat("b", 64)},
		}
		found, err := src.Lint(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var codes []string
		for _, f := range found {
			codes = append(codes, f.Code)
			if f.Line == 0 || f.Text == "" || f.Cure == "" {
				t.Errorf("%s: finding without line, text or cure: %+v", name, f)
			}
		}
		if !slices.Equal(codes, tt.want) {
			t.Errorf("%s: found %v, want %v", name, codes, tt.want)
		}
	}
}

// The stage that is built counts, not the last one.
func TestLintOfTarget(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch AS a\nFROM scratch\nENTRYPOINT [\"/a\"]\n"})
	for target, want := range map[string]int{"": 0, "A": 1} {
		if found, err := (buildkit.Source{Context: dir, Target: target}).Lint(t.Context()); err != nil || len(found) != want {
			t.Errorf("target %q: found %+v, %v; want %d", target, found, err, want)
		}
	}
}
