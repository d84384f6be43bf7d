//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/sandbox/world"
)

// version is what each form releases.
const version = "1.0.0"

// form is a place to release in.
type form struct {
	name    string
	release func(t *testing.T, j job) outcome
}

// job is what a form is given: a project in a repository, and a world.
type job struct {
	dir    string   // of the project
	world  string   // folder with the world's mrelease.yaml
	state  string   // folder for a builder's cache
	env    []string // passwords, and the folder for the builder's cache
	before bool     // nothing was released before: plan first
}

// outcome is what must be the same.
type outcome struct{ record, plan []byte }

// Each form releases the example that mrelease seals in a world of its own, which is
// like the others to the last port: then all of the record must be the same bytes,
// with the digest of the image, the measurement, the address, the order and its hash.
func TestEveryFormMakesTheSameRelease(t *testing.T) {
	addresses, keys := map[string]string{"registry": freeAddress(t), "market": freeAddress(t)}, t.TempDir()
	var first outcome
	for _, f := range forms(t) {
		t.Run(f.name, func(t *testing.T) {
			start := time.Now()
			got := f.release(t, newJob(t, "hello-binaryfs", startWorld(t, addresses), keys))
			t.Logf("%.1f s", time.Since(start).Seconds())
			if first.record == nil {
				first = got
				t.Logf("%s", got.record)
			}
			first.compare(t, got)
		})
	}
}

// The other example's seal is random, so only the first form builds it. The others find
// it, measure it, and must say of it what the first one said.
func TestEveryFormFindsTheRelease(t *testing.T) {
	w, keys := startWorld(t, nil), t.TempDir()
	var first outcome
	all := forms(t)
	if testing.Short() {
		all = all[:4] // one container
	}
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			j := newJob(t, "hello-python", w, keys)
			j.before = first.record == nil
			got := f.release(t, j)
			if j.before {
				first.record = got.record
				return
			}
			if first.plan == nil {
				first.plan = got.plan
			}
			first.compare(t, got)
		})
	}
}

func (o outcome) compare(t *testing.T, got outcome) {
	t.Helper()
	if !bytes.Equal(got.record, o.record) {
		t.Errorf("the record is\n%s, want\n%s", got.record, o.record)
	}
	if want := canonical(t, o.plan); canonical(t, got.plan) != want {
		t.Errorf("the plan is\n%s, want\n%s", canonical(t, got.plan), want)
	}
}

// canonical is a plan without what changes from block to block, from folder to folder
// and from system to system: the price of gas, where the wallet's file is, and of which
// run it is part. Its hash stays.
func canonical(t *testing.T, plan []byte) string {
	t.Helper()
	var value map[string]any
	must(t, json.Unmarshal(plan, &value))
	delete(value, "cost")
	delete(value, "run")
	delete(value, "wallet-stated-by")
	text, err := json.MarshalIndent(value, "", " ")
	must(t, err)
	return string(text)
}

func forms(t *testing.T) []form {
	all := []form{{"plain", releasePlain}, {"act", releaseByAct}, {"gitlab-ci-local", releaseByGitLab}}
	image := unpack(t)
	for _, s := range shapes() {
		if s.daemon && testing.Short() {
			continue
		}
		all = append(all, form{"container, " + s.name, func(t *testing.T, j job) outcome { return image.release(t, s, j) }})
	}
	return all
}

// releasePlain is the command.
func releasePlain(t *testing.T, j job) outcome {
	command := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), program(t, "mrelease"), append(args, j.configs()...)...)
		c.Dir, c.Env = j.dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.state}, j.env...)
		return c
	}
	plan := run(t, command("plan", "--json", "--version", version))
	run(t, command("release", "--progress", "quiet", "--version", version))
	return outcome{read(t, filepath.Join(j.dir, "dist", "record.json")), plan}
}

func (j job) configs() []string {
	return []string{"--config", "mrelease.yaml", "--config", filepath.Join(j.world, "mrelease.yaml")}
}

// startWorld starts a world whose services listen at these addresses, and else at any.
func startWorld(t *testing.T, addresses map[string]string) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Base: absolute(t, "../../build/base"), Addresses: addresses})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	return w
}

// freeAddress is one that nobody listens at, for worlds after one another.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// newJob makes the project of an example, as a repository with one commit, which is
// the same wherever it is made.
func newJob(t *testing.T, example string, w *world.World, keys string) job {
	t.Helper()
	dir := t.TempDir()
	j := job{dir: filepath.Join(dir, "project"), world: filepath.Join(dir, "world"), state: filepath.Join(dir, "state"), before: true}
	must(t, os.Mkdir(j.state, 0o700))
	must(t, w.Write(j.world))
	boundFees(t, filepath.Join(j.world, "mrelease.yaml"))
	shareKeys(t, j.world, keys)
	environment, err := w.Environment(j.world)
	must(t, err)
	for _, variable := range environment {
		if strings.Contains(variable, "PASSWORD=") {
			j.env = append(j.env, variable)
		}
	}
	j.env = append(j.env, "MRELEASE_STATE="+j.state)
	must(t, os.CopyFS(j.dir, os.DirFS(filepath.Join("../../examples", example))))
	for name, text := range map[string]string{
		".dockerignore": "*\n!src\n", ".gitignore": "/dist/\n/.gitlab-ci-local/\n",
		".github/workflows/release.yml": workflow(t), "action/action.yml": string(read(t, "../../action.yml")), "action/action/run.sh": string(read(t, "../../action/run.sh")),
		".gitlab-ci.yml": pipeline(false), "approved.yml": pipeline(true), "templates/release.yml": string(read(t, "../../templates/release.yml")),
	} {
		file := filepath.Join(j.dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o755))
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "a commit"}, {"remote", "add", "origin", "git@gitlab.example:acme/hello.git"}, {"tag", version}} {
		c := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"}, args...)...)
		c.Dir, c.Env = j.dir, append(os.Environ(), "GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000", "GIT_CONFIG_GLOBAL=/dev/null")
		run(t, c)
	}
	return j
}

// boundFees bounds what a transaction may offer: else the hash of a plan depends on what
// the last block paid.
func boundFees(t *testing.T, config string) {
	t.Helper()
	const fees = "fees: eip1559\n"
	text := string(read(t, config))
	if !strings.Contains(text, fees) {
		t.Fatalf("%s has no %q", config, fees)
	}
	must(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, fees, fees+"    max-fee-per-gas: 100000000000\n")), 0o600))
}

// shareKeys gives all worlds the signing key of the first, which is in the record.
func shareKeys(t *testing.T, world, keys string) {
	t.Helper()
	for _, name := range []string{"cosign.key", "cosign.pub"} {
		from, to := filepath.Join(keys, name), filepath.Join(world, name)
		if _, err := os.Stat(from); err != nil {
			from, to = to, from
		}
		must(t, os.WriteFile(to, read(t, from), 0o600))
	}
}

func program(t *testing.T, name string) string {
	t.Helper()
	file := absolute(t, "../../bin/"+name)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v; build it with: make bin/%s", err, name)
	}
	return file
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	must(t, err)
	return path
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return content
}

// run runs a command, which must succeed, and returns what it answers.
func run(t *testing.T, c *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", c, err, out, &stderr)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
