package e2e

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/ci/citest"
)

// standIn is a program in mrelease's place: it says that a release is called for, or what
// it was asked for, and keeps its arguments and what it knows of passwords.
const standIn = `#!/bin/bash
if [ "$1" = ci ]; then
	shift
	mode=release
	while [ $# -gt 0 ]; do if [ "$1" = --mode ] && [ "$2" != auto ]; then mode=$2; fi; shift; done
	echo "$mode"
	exit
fi
printf '%s\0' "$@" >"$ARGUMENTS"
env | grep -E '^(MRELEASE_WALLET|COSIGN_PASSWORD|MRELEASE_INPUT.*PASSWORD|MRELEASE_RECORD)' | sort >"$ARGUMENTS.secrets"
exit ${STATUS:-0}
`

// action is a checkout of the action, and a runner that runs it.
type action struct {
	dir    string // of the checkout
	runner string // its temporary folder
	env    map[string]string
}

func newAction(t *testing.T) action {
	t.Helper()
	a := action{dir: filepath.Join(t.TempDir(), "_actions", "acme", "mrelease", "f00d"), runner: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(a.dir, "action"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyFile("../../action/run.sh", filepath.Join(a.dir, "action", "run.sh")); err != nil {
		t.Fatal(err)
	}
	a.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": a.runner, "RUNNER_TEMP": a.runner, "RUNNER_TOOL_CACHE": filepath.Join(a.runner, "tools"), "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64",
		"ARGUMENTS": filepath.Join(a.runner, "arguments"), "MRELEASE_ACTION_REPOSITORY": "",
	}
	for _, input := range []string{"BINARY", "DOWNLOAD", "CONFIG", "VERSION", "IMAGE", "CHAIN", "CONTEXT", "RECORD", "BUILDER", "ARGS", "PLAN", "PLAN_HASH", "WALLET_PASSWORD", "COSIGN_PASSWORD"} {
		a.env["MRELEASE_INPUT_"+input] = ""
	}
	a.env["MRELEASE_INPUT_MODE"], a.env["MRELEASE_INPUT_DRY_RUN"] = "auto", "false"
	return a
}

// program puts the stand-in at a path for the input binary.
func (a action) program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(a.runner, "program")
	if err := os.WriteFile(path, []byte(standIn), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the action's script as the runner does.
func (a action) run(t *testing.T) (out string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", `exec "$GITHUB_ACTION_PATH/action/run.sh"`)
	c.Dir = a.runner
	c.Env = []string{"GITHUB_ACTION_PATH=" + a.dir}
	for name, value := range a.env {
		c.Env = append(c.Env, name+"="+value)
	}
	told, err := c.CombinedOutput()
	return string(told), err
}

// arguments are those that the program got.
func (a action) arguments(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(a.env["ARGUMENTS"])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// TestAttackAction runs the action with a stranger's words in each of its inputs: the
// program gets them as arguments, and nothing else is made of them.
func TestAttackAction(t *testing.T) {
	hostile := stranger + "$(touch evil)`touch evil`';touch evil;\""
	for _, input := range []string{"MODE", "CONFIG", "VERSION", "IMAGE", "CHAIN", "CONTEXT", "RECORD", "BUILDER", "DRY_RUN", "ARGS", "PLAN", "PLAN_HASH", "WALLET_PASSWORD", "COSIGN_PASSWORD", "BINARY", "DOWNLOAD"} {
		a := newAction(t)
		a.env["MRELEASE_INPUT_BINARY"] = a.program(t)
		if strings.HasPrefix(input, "PLAN") {
			a.env["MRELEASE_INPUT_MODE"], a.env["MRELEASE_INPUT_PLAN"] = "apply", "plan.json"
		}
		a.env["MRELEASE_INPUT_"+input] = hostile
		if input == "DOWNLOAD" {
			a.env["MRELEASE_INPUT_BINARY"] = ""
			a.sums(t, "1.2.3", "mrelease_1.2.3_linux_amd64", []byte(standIn), 0)
		}
		out, err := a.run(t)
		refused := input == "MODE" || input == "DRY_RUN" || input == "BINARY" || input == "DOWNLOAD"
		if (err != nil) != refused {
			t.Errorf("%s: %v\n%s", input, err, out)
		}
		for _, command := range citest.Commands(out) {
			if !refused || !strings.HasPrefix(command, "error mrelease: ") {
				t.Errorf("%s: the runner obeys %q", input, command)
			}
		}
		if strings.ContainsAny(out, "\x1b\r") || strings.Contains(out, "PASSED") {
			t.Errorf("%s: printed %q", input, out)
		}
		for _, evil := range []string{a.runner, a.dir} {
			if _, err := os.Stat(filepath.Join(evil, "evil")); err == nil {
				t.Errorf("%s was run", input)
			}
		}
		flag := map[string]string{"VERSION": "--version=", "IMAGE": "--image=", "CHAIN": "--chain=", "CONTEXT": "--context=", "BUILDER": "--builder=", "PLAN_HASH": "--plan-hash="}[input]
		if args := fmt.Sprintf("%q", append([]string{""}, argumentsOf(a)...)); flag != "" && !strings.Contains(args, fmt.Sprintf("%q", flag+hostile)) {
			t.Errorf("%s: the program got %s", input, args)
		}
	}
}

func argumentsOf(a action) []string {
	text, _ := os.ReadFile(a.env["ARGUMENTS"]) // not there when the action refused
	return strings.Split(string(text), "\x00")
}

// Each mode gets what it needs, and passwords only a release.
func TestActionModes(t *testing.T) {
	for mode, want := range map[string]string{
		"auto":    "release --config=|a.yaml --config=|b.yaml --version=1.0.0 --image=i --chain=c --context=x --dry-run|--json",
		"release": "release --config=|a.yaml --config=|b.yaml --version=1.0.0 --image=i --chain=c --context=x --dry-run|--json",
		"plan":    "plan --config=|a.yaml --config=|b.yaml --version=1.0.0 --image=i --chain=c --context=x|--json",
		"apply":   "apply --config=|a.yaml --config=|b.yaml --version=1.0.0 --image=i --chain=c --context=x --dry-run|--json --plan-hash=h -- p.json",
		"verify":  "verify --config=|a.yaml --config=|b.yaml|--json|--|r.json",
	} {
		a := newAction(t)
		for name, value := range map[string]string{
			"MODE": mode, "BINARY": a.program(t), "CONFIG": "a.yaml\r\n\nb.yaml\n", "VERSION": "1.0.0", "IMAGE": "i", "CHAIN": "c", "CONTEXT": "x", "RECORD": "r.json",
			"DRY_RUN": "true", "ARGS": "--json\n", "WALLET_PASSWORD": "w w", "COSIGN_PASSWORD": "",
		} {
			a.env["MRELEASE_INPUT_"+name] = value
		}
		if mode == "apply" {
			a.env["MRELEASE_INPUT_PLAN"], a.env["MRELEASE_INPUT_PLAN_HASH"] = "p.json", "h"
		}
		a.env["COSIGN_PASSWORD"], a.env["MRELEASE_WALLET_KEY"], a.env["STATUS"] = "kept", "raw", "13"
		out, err := a.run(t)
		if status, ok := err.(*exec.ExitError); !ok || status.ExitCode() != 13 {
			t.Errorf("%s: ended with %v, not as the program did\n%s", mode, err, out)
		}
		if got := strings.Join(a.arguments(t), " "); got != strings.NewReplacer("=|", " ", "|", " ").Replace(want) {
			t.Errorf("%s: the program got %s, want %s", mode, got, want)
		}
		secrets, err := os.ReadFile(a.env["ARGUMENTS"] + ".secrets")
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]string{"release": "COSIGN_PASSWORD=kept\nMRELEASE_RECORD=r.json\nMRELEASE_WALLET_KEY=raw\nMRELEASE_WALLET_PASSWORD=w w\n", "plan": "MRELEASE_RECORD=r.json\n"}
		known["auto"], known["apply"] = known["release"], known["release"]
		if string(secrets) != known[mode] {
			t.Errorf("%s: the program knows %q, want %q", mode, secrets, known[mode])
		}
	}
}

// An approved plan is a file, or the document itself, which becomes one byte for byte; and
// nothing else is released where one is named.
func TestActionApplies(t *testing.T) {
	document := "{\"version\": \"1.0.0\",\n \"x\": \"$(touch evil) \\u2028 'ä'\"}"
	a := newAction(t)
	a.env["MRELEASE_INPUT_BINARY"], a.env["MRELEASE_INPUT_MODE"], a.env["MRELEASE_INPUT_PLAN"] = a.program(t), "apply", document
	if out, err := a.run(t); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := a.arguments(t)
	if text, err := os.ReadFile(args[len(args)-1]); err != nil || string(text) != document+"\n" || args[0] != "apply" {
		t.Errorf("%q, %v: the plan is %q, want %q", args, err, text, document)
	}
	for name, inputs := range map[string]map[string]string{
		"no plan":           {"MODE": "apply"},
		"a hash alone":      {"MODE": "apply", "PLAN_HASH": "h"},
		"released":          {"MODE": "release", "PLAN": "plan.json"},
		"as the run is":     {"MODE": "auto", "PLAN": "plan.json"},
		"a hash for a plan": {"MODE": "plan", "PLAN_HASH": "h"},
	} {
		a := newAction(t)
		a.env["MRELEASE_INPUT_BINARY"] = a.program(t)
		for input, value := range inputs {
			a.env["MRELEASE_INPUT_"+input] = value
		}
		out, err := a.run(t)
		if _, started := os.Stat(a.env["ARGUMENTS"]); err == nil || started == nil || !strings.Contains(out, "::error::mrelease: ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// sums writes release.sums for a program, whose size is told larger by so many bytes.
func (a action) sums(t *testing.T, version, name string, program []byte, more int) {
	t.Helper()
	text := fmt.Sprintf("# version %s\n%x  %d  %s\n%x  %d  %s\n", version, sha256.Sum256([]byte("other")), 5, "mrelease_"+version+"_darwin_arm64", sha256.Sum256(program), len(program)+more, name)
	a.write(t, text)
}

func (a action) write(t *testing.T, sums string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, "release.sums"), []byte(sums), 0o644); err != nil {
		t.Fatal(err)
	}
}

// serve serves releases as GitHub does, and lets the action trust the server.
func (a action) serve(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	authority := filepath.Join(a.runner, "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.env["CURL_CA_BUNDLE"], a.env["GITHUB_SERVER_URL"] = authority, server.URL
}

const (
	asset     = "mrelease_1.2.3_linux_amd64"
	assetPath = "/acme/mrelease/releases/download/v1.2.3/" + asset
)

// The program that the action fetches is the one in release.sums, or none. What may go
// wrong with a download is an error, and nothing is kept of it.
func TestActionFetches(t *testing.T) {
	t.Parallel()
	program := []byte(standIn)
	right := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != assetPath {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(program)
	}
	answer := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, "\n::error::evil\n")
		}
	}
	flaky := 0
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		sums    func(*testing.T, action) // nil: the right ones
		want    string                   // of the error; empty: it is fetched
	}{
		"right": {handler: right},
		"redirect": {handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == assetPath {
				http.Redirect(w, r, "https://"+r.Host+"/storage?token=1", http.StatusFound)
				return
			}
			_, _ = w.Write(program)
		}},
		"redirect to http": {handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}, want: "curl ends with 1,"},
		"redirect for ever": {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, want: "curl ends with 47"},
		"down, then up": {handler: func(w http.ResponseWriter, r *http.Request) {
			if flaky++; flaky == 1 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			right(w, r)
		}},
		"wrong hash": {handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Replace(standIn, "mode=release", "mode=evilish", 1)))
		}, want: "has another SHA-256"},
		"larger":             {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(append(program, '\n')) }, want: "has more bytes than"},
		"smaller":            {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(program[1:]) }, want: "bytes, and"},
		"endless":            {handler: endless, want: "more bytes than"},
		"truncated":          {handler: truncated(program), want: "after 100 of"},
		"403":                {handler: answer(http.StatusForbidden), want: "refuses"},
		"429":                {handler: answer(http.StatusTooManyRequests), want: "too often"},
		"429, for an hour":   {handler: answer(http.StatusTooManyRequests, "Retry-After", "3600"), want: "too often"},
		"gone":               {handler: answer(http.StatusGone), want: "taken away"},
		"not there":          {handler: http.NotFound, want: "taken away"},
		"other size in sums": {handler: right, sums: func(t *testing.T, a action) { a.sums(t, "1.2.3", asset, program, 1) }, want: "has " + fmt.Sprint(len(program)) + " bytes"},
		"other version":      {handler: right, sums: func(t *testing.T, a action) { a.sums(t, "1.2.4", "mrelease_1.2.4_linux_amd64", program, 0) }, want: "taken away"},
		"other name":         {handler: right, sums: func(t *testing.T, a action) { a.sums(t, "1.2.3", "mrelease_1.2.3_linux_arm64", program, 0) }, want: "release.sums has no " + asset},
		"no sums":            {handler: right, sums: func(*testing.T, action) {}, want: "has no release.sums"},
		"no checksum":        {handler: right, sums: func(t *testing.T, a action) { a.write(t, "# version 1.2.3\n  10  "+asset+"\n") }, want: "a line of release.sums"},
		"short checksum":     {handler: right, sums: func(t *testing.T, a action) { a.write(t, "# version 1.2.3\nabcd  10  "+asset+"\n") }, want: "a line of release.sums"},
		"name with a path":   {handler: right, sums: func(t *testing.T, a action) { a.sums(t, "1.2.3", "../"+asset, program, 0) }, want: "a line of release.sums"},
		"a name twice": {handler: right, sums: func(t *testing.T, a action) {
			line := fmt.Sprintf("%x  %d  %s\n", sha256.Sum256(program), len(program), asset)
			a.write(t, "# version 1.2.3\n"+line+line)
		}, want: "twice"},
		"no version":        {handler: right, sums: func(t *testing.T, a action) { a.write(t, "") }, want: "first line of release.sums"},
		"version with more": {handler: right, sums: func(t *testing.T, a action) { a.sums(t, "1.2.3/../..", asset, program, 0) }, want: "first line of release.sums"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAction(t)
			a.serve(t, test.handler)
			if test.sums == nil {
				a.sums(t, "1.2.3", asset, program, 0)
			} else {
				test.sums(t, a)
			}
			started := time.Now()
			out, err := a.run(t)
			if took := time.Since(started); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			commands := citest.Commands(out)
			if test.want == "" {
				if err != nil || len(commands) > 0 || a.arguments(t)[0] != "release" {
					t.Fatalf("%v, %q\n%s", err, commands, out)
				}
				return
			}
			if err == nil || len(commands) != 1 || !strings.HasPrefix(commands[0], "error mrelease: ") || !strings.Contains(commands[0], test.want) {
				t.Errorf("%v, the runner is told %q, want %q\n%s", err, commands, test.want, out)
			}
			if _, err := os.Stat(a.env["ARGUMENTS"]); err == nil {
				t.Error("a program was run")
			}
			kept, err := filepath.Glob(filepath.Join(a.env["RUNNER_TOOL_CACHE"], "mrelease", "*", "*", "*"))
			hidden, _ := filepath.Glob(filepath.Join(a.env["RUNNER_TOOL_CACHE"], "mrelease", "*", "*", ".*")) // the pattern is right
			if err != nil || len(kept)+len(hidden) > 0 {
				t.Errorf("kept %q %q, %v", kept, hidden, err)
			}
		})
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

// truncated promises all of a file and ends in the middle of it.
func truncated(file []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		_, _ = w.Write(file[:100])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// What was fetched is kept, and compared each time before it is run. A tool cache that
// cannot be written, a repository that only the path tells, and a release elsewhere are
// no hindrance.
func TestActionKeeps(t *testing.T) {
	t.Parallel()
	a, asked := newAction(t), 0
	a.serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = w.Write([]byte(standIn))
	})
	a.sums(t, "1.2.3", asset, []byte(standIn), 0)
	kept := filepath.Join(a.env["RUNNER_TOOL_CACHE"], "mrelease", "1.2.3", "X64", asset)
	for i, spoil := range []func() error{
		func() error { return nil },
		func() error { return nil },
		func() error { return os.WriteFile(kept, []byte("#!/bin/sh\ntouch evil\n"), 0o700) },
		func() error { return os.WriteFile(kept, []byte(strings.Replace(standIn, "shift", "false", 1)), 0o700) },
		func() error {
			if err := os.Rename(kept, kept+".moved"); err != nil {
				return err
			}
			return os.Symlink(kept+".moved", kept)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if out, err := a.run(t); err != nil {
			t.Fatalf("%d: %v\n%s", i, err, out)
		}
		if want := []int{1, 1, 2, 3, 4}[i]; asked != want {
			t.Errorf("run %d: the server was asked %d times, want %d", i, asked, want)
		}
	}
	if _, err := os.Stat(filepath.Join(a.runner, "evil")); err == nil {
		t.Error("something else than the release was run")
	}
	a.env["RUNNER_TOOL_CACHE"] = filepath.Join(kept, "no-folder")
	if out, err := a.run(t); err != nil || asked != 5 || !strings.Contains(out, "for this job only") {
		t.Errorf("%v, asked %d times\n%s", err, asked, out)
	}
	a.env["MRELEASE_INPUT_DOWNLOAD"], a.env["GITHUB_SERVER_URL"] = a.env["GITHUB_SERVER_URL"]+"/elsewhere/", "https://127.0.0.1:1"
	a.env["RUNNER_TOOL_CACHE"] = t.TempDir()
	if out, err := a.run(t); err != nil || asked != 6 {
		t.Errorf("%v, asked %d times\n%s", err, asked, out)
	}
	for name, value := range map[string]string{"RUNNER_OS": "Plan9", "RUNNER_ARCH": "X86", "MRELEASE_INPUT_DOWNLOAD": "http://127.0.0.1/"} {
		old := a.env[name]
		a.env[name], a.env["RUNNER_TOOL_CACHE"] = value, t.TempDir()
		if out, err := a.run(t); err == nil || !strings.Contains(out, "::error::mrelease: ") {
			t.Errorf("%s=%s: %v\n%s", name, value, err, out)
		}
		a.env[name] = old
	}
}

// The embedded builder gets root through sudo where the runner allows that without a
// password, and what it made is the user's again; sudo and id are stand-ins here.
func TestActionWithSudo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		want string // what sudo was asked
	}{
		"release":         {nil, "x -n -E true|x -n -E -- PROGRAM release|x -n chown -R 1000:1000 dist|"},
		"verify":          {map[string]string{"MRELEASE_INPUT_MODE": "verify"}, "x -n -E true|x -n -E -- PROGRAM verify -- dist/record.json|x -n chown -R 1000:1000 dist|"},
		"plan":            {map[string]string{"MRELEASE_INPUT_MODE": "plan"}, ""},
		"docker":          {map[string]string{"MRELEASE_INPUT_BUILDER": "docker"}, ""},
		"a daemon":        {map[string]string{"BUILDKIT_HOST": "tcp://buildkitd:1234"}, ""},
		"macOS":           {map[string]string{"RUNNER_OS": "macOS"}, ""},
		"asks a password": {map[string]string{"SUDO_STATUS": "1"}, "x -n -E true|"},
	} {
		a := newAction(t)
		a.env["MRELEASE_INPUT_BINARY"], a.env["STATUS"] = a.program(t), "13"
		for name, value := range test.env {
			a.env[name] = value
		}
		stubs := t.TempDir()
		asked := filepath.Join(stubs, "asked")
		for name, script := range map[string]string{
			"id":   "echo 1000",
			"sudo": `echo "x $*" >>` + asked + `; [ -z "$SUDO_STATUS" ] || exit "$SUDO_STATUS"; while [ "${1:0:1}" = - ]; do shift; done; [ "$1" = chown ] || "$@"`,
		} {
			if err := os.WriteFile(filepath.Join(stubs, name), []byte("#!/bin/bash\n"+script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(a.runner, "dist"), 0o700); err != nil {
			t.Fatal(err)
		}
		a.env["PATH"] = stubs + ":" + a.env["PATH"]
		out, err := a.run(t)
		if status, ok := err.(*exec.ExitError); !ok || status.ExitCode() != 13 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		text, _ := os.ReadFile(asked) // not there when sudo was not asked
		got := strings.NewReplacer("\n", "|", a.env["MRELEASE_INPUT_BINARY"], "PROGRAM").Replace(string(text))
		if got != test.want {
			t.Errorf("%s: sudo was asked %q, want %q\n%s", name, got, test.want, out)
		}
	}
}

// A proxy is asked where the environment names one.
func TestActionUsesTheProxy(t *testing.T) {
	t.Parallel()
	a, asked := newAction(t), ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.Host
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	a.env["HTTPS_PROXY"], a.env["GITHUB_SERVER_URL"] = proxy.URL, "https://github.example"
	a.sums(t, "1.2.3", asset, []byte(standIn), 0)
	if out, err := a.run(t); err == nil || asked != "CONNECT github.example:443" || !strings.Contains(out, "curl ends with") {
		t.Errorf("%v, the proxy was asked %q\n%s", err, asked, out)
	}
}
