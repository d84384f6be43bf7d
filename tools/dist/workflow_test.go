package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	repository = flag.String("repository", "", "repository to release (make dist-twice)")
	systems    = flag.String("systems", "", "systems to release for; all when empty")
	afresh     = flag.Bool("afresh", false, "compile everything anew the first time")
)

// A release is made twice, as a maintainer and the project's workflow make it: first in
// a clone, to have release.sums, with another path, umask, time zone and language, then
// by the workflow, at the commit that adds release.sums. The bytes must be the same. act
// runs the workflow; the two actions that move files between its jobs, and GitHub's
// program that publishes them, have stand-ins.
func TestTheWorkflowMakesTheSameRelease(t *testing.T) {
	if *repository == "" {
		t.Skip("make dist-twice says which repository")
	}
	const version = "0.0.1"
	work := t.TempDir()
	clone := filepath.Join(work, "another", "place")
	w := workflow{version: version, clone: clone, work: work, artifacts: filepath.Join(work, "artifacts")}
	w.run(t, nil, "git", "clone", "-q", *repository, clone)
	w.run(t, nil, "git", "-C", clone, "tag", "v"+version)
	// By the step that fails: act loses at times what a step printed last.
	if out, err := w.act(t); err == nil || !strings.Contains(out, "Failure - Main Look for what the action demands") || strings.Contains(out, "gh release") {
		t.Errorf("a tag without release.sums: %v\n%s", err, out)
	}

	env := []string{"VERSION=" + version, "COSIGN_KEY=", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8"}
	if *afresh {
		env = append(env, "GOCACHE="+filepath.Join(work, "cache"))
	}
	w.run(t, env, "sh", "-c", `umask 077 && make -C "$1" --no-print-directory dist`, "sh", clone)
	place := func(name string) string { return filepath.Join(clone, name) }
	first := madeRelease{release{version: version, programs: place("build/dist/programs"), with: place("build/dist/with"), out: place("dist/release")}, place("release.sums")}
	first.check(t, 100)
	for _, name := range []string{"man/mrelease.1", "man/mrelease-release.1", "completion/mrelease.bash", "completion/_mrelease", "completion/mrelease.fish", "LICENSE", "THIRD-PARTY"} {
		if content, err := os.ReadFile(filepath.Join(first.with, name)); err != nil || len(content) < 100 {
			t.Errorf("%s, which goes with the programs, has %d bytes: %v", name, len(content), err)
		}
	}
	before := w.commit(t)
	w.run(t, nil, "git", "-C", clone, "add", "release.sums")
	w.run(t, nil, "git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "release")
	w.run(t, nil, "git", "-C", clone, "tag", "-f", "v"+version)
	if out, err := w.act(t); err != nil {
		t.Fatalf("the workflow: %v\n%s", err, out)
	}
	w.compare(t, first, before)
	t.Logf("the same twice:\n%s", first.read(t, checksums))
}

// workflow runs the project's release workflow.
type workflow struct{ version, clone, work, artifacts string }

// act runs the workflow for the tag.
func (w workflow) act(t *testing.T) (string, error) {
	t.Helper()
	definition, err := os.ReadFile(filepath.Join(w.clone, ".github/workflows/release.yml"))
	must(t, err)
	event := filepath.Join(w.work, "event.json")
	must(t, os.WriteFile(event, []byte(`{"ref": "refs/tags/v`+w.version+`"}`), 0o644))
	bin := filepath.Join(w.work, "bin")
	must(t, os.MkdirAll(bin, 0o755))
	must(t, os.WriteFile(filepath.Join(bin, "gh"), []byte("#!/bin/sh\n[ \"$GH_TOKEN\" = of-the-job ] && printf '%s\\n' \"$@\" > \"$ARTIFACTS/gh\"\n"), 0o755))
	args := []string{"push", "-W", ".github/workflows/release.yml", "-P", "ubuntu-latest=-self-hosted", "-e", event, "--no-cache-server", "-s", "GITHUB_TOKEN=of-the-job", "--env", "ARTIFACTS=" + w.artifacts}
	for name, script := range map[string]string{"upload-artifact": `mkdir -p "$ARTIFACTS/$NAME" && cp -p $FILES "$ARTIFACTS/$NAME"`, "download-artifact": `mkdir -p "$FILES" && cp -p "$ARTIFACTS/$NAME"/* "$FILES"`} {
		dir := filepath.Join(w.work, name)
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "action.yml"), []byte("name: "+name+"\ninputs: {name: {}, path: {}, if-no-files-found: {}, retention-days: {}}\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      env: {FILES: \"${{ inputs.path }}\", NAME: \"${{ inputs.name }}\"}\n      run: "+script+"\n"), 0o644))
		used := regexp.MustCompile(`actions/` + name + `@[0-9a-f]{40}`).FindString(string(definition))
		args = append(args, "--local-repository", used+"="+dir)
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		args = append(args, "--env", name+"="+strings.TrimSpace(string(output(t, "go", "env", name))))
	}
	if *systems != "" {
		args = append(args, "--env", "SYSTEMS="+*systems)
	}
	c := exec.CommandContext(t.Context(), filepath.Join(*repository, "bin", "act"), args...)
	c.Dir, c.Env = w.clone, append(os.Environ(), "HOME="+w.work, "PATH="+bin+":"+os.Getenv("PATH"), "NO_COLOR=1")
	out, err := c.CombinedOutput()
	return string(out), err
}

// compare compares what the workflow published with what was made before. The statement
// names the commit, which is another one.
func (w workflow) compare(t *testing.T, first madeRelease, before string) {
	t.Helper()
	found, err := os.ReadDir(first.out)
	must(t, err)
	published := []string{"release", "create", "v" + w.version, "--repo", "", "--verify-tag", "--generate-notes", "--"}
	for _, entry := range found {
		again, err := os.ReadFile(filepath.Join(w.artifacts, "programs", entry.Name()))
		must(t, err)
		if strings.HasSuffix(entry.Name(), statementSuffix) {
			again = bytes.ReplaceAll(again, []byte(w.commit(t)), []byte(before))
		}
		if !bytes.Equal(again, first.read(t, entry.Name())) {
			t.Errorf("%s is another file when it is made again", entry.Name())
		}
		published = append(published, "programs/"+entry.Name())
	}
	asked, err := os.ReadFile(filepath.Join(w.artifacts, "gh"))
	must(t, err)
	got := strings.Split(strings.TrimSpace(string(asked)), "\n")
	files := slices.Sorted(slices.Values(got[min(8, len(got)):]))
	if got[4] = ""; !slices.Equal(got[:8], published[:8]) || !slices.Equal(files, published[8:]) {
		t.Errorf("published with %q, want %q", got, published)
	}
}

func (w workflow) commit(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(output(t, "git", "-C", w.clone, "rev-parse", "HEAD")))
}

func (w workflow) run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), env...)
	if *systems != "" {
		c.Env = append(c.Env, "SYSTEMS="+*systems)
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
}
