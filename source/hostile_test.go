package source

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A repository that somebody else made names programs wherever git can be told to run
// one. None is run: not for the commit, nor for what check tells, nor for the keys.
func TestAttackProgramsThatARepositoryNames(t *testing.T) {
	for name, attack := range map[string]func(r checkout, run string){
		"core.fsmonitor":        func(r checkout, run string) { r.git("config", "core.fsmonitor", run) },
		"core.fsmonitor, index": func(r checkout, run string) { r.git("config", "core.fsmonitor", run); r.fsmonitorIndex() },
		"core.hooksPath": func(r checkout, run string) {
			r.hooks("hooked", run)
			r.git("config", "core.hooksPath", r.path("hooked"))
		},
		"hooks":                  func(r checkout, run string) { r.hooks(".git/hooks", run) },
		"a filter":               func(r checkout, run string) { r.filter("filter.x.clean", run); r.filter("filter.x.smudge", run) },
		"a filter's process":     func(r checkout, run string) { r.filter("filter.x.process", run) },
		"a filter with odd name": func(r checkout, run string) { r.filter("filter.a=b.clean", run) },
		"git-lfs":                func(r checkout, run string) { r.filter("filter.lfs.clean", run); r.filter("filter.lfs.process", run) },
		"diff.external":          func(r checkout, run string) { r.git("config", "diff.external", run) },
		"textconv": func(r checkout, run string) {
			r.write(".git/info/attributes", "* diff=x\n")
			r.git("config", "diff.x.textconv", run)
			r.git("config", "diff.x.command", run)
		},
		"core.pager, an editor, a signer": func(r checkout, run string) {
			for _, key := range []string{"core.pager", "core.editor", "sequence.editor", "gpg.program", "gpg.ssh.program", "credential.helper", "core.askPass", "core.alternateRefsCommand", "interactive.diffFilter"} {
				r.git("config", key, run)
			}
			r.git("config", "pager.status", "true")
			r.git("config", "log.showSignature", "true")
		},
		"aliases of the commands that are used": func(r checkout, run string) {
			for _, command := range []string{"status", "rev-parse", "ls-files", "config", "cat-file", "read-tree", "for-each-ref", "check-attr"} {
				r.git("config", "alias."+command, "!"+run)
			}
		},
		"a configuration that is included": func(r checkout, run string) {
			r.write("evil", "[core]\n\tfsmonitor = "+run+"\n[filter \"x\"]\n\tclean = "+run+"\n")
			r.filter("include.path", r.path("evil"))
		},
		"a configuration of the work tree": func(r checkout, run string) {
			r.git("config", "extensions.worktreeConfig", "true")
			r.git("config", "--worktree", "core.fsmonitor", run)
		},
		"a promised object": func(r checkout, run string) { r.promise("HEAD:app", "ext::"+run) },
		"a promised tag": func(r checkout, run string) {
			r.git("tag", "-a", "-m", "x", "v9")
			r.promise("v9", "ext::"+run)
		},
		"a promised commit": func(r checkout, run string) { r.promise("HEAD", "ext::"+run) },
		"a promise over ssh": func(r checkout, run string) {
			r.git("config", "core.sshCommand", run)
			r.promise("HEAD:app", "ssh://host/x")
		},
		"a promise of a helper": func(r checkout, run string) { r.git("config", "remote.evil.vcs", "ext"); r.promise("HEAD:app", run) },
		"a submodule's configuration": func(r checkout, run string) {
			in := r.in("app/sub")
			in.git("config", "core.fsmonitor", run)
			in.filter("filter.x.clean", run)
			r.git("config", "submodule.app/sub.update", "!"+run)
			in.write("file", "2")
		},
		"a nested repository": func(r checkout, run string) {
			r.do(os.Mkdir(r.path("app/inner"), 0o755))
			r.in("app/inner").git("init", "-q")
			r.in("app/inner").git("config", "core.fsmonitor", run)
			r.write("app/inner/file", "")
		},
		"a program called git": func(r checkout, run string) {
			text, err := os.ReadFile(run)
			r.do(err)
			r.write("git", string(text))
			r.do(os.Chmod(r.path("git"), 0o755))
			r.t.Chdir(r.dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCheckout(t)
			canary := filepath.Join(t.TempDir(), "ran")
			run := filepath.Join(t.TempDir(), "run")
			r.do(os.WriteFile(run, []byte("#!/bin/sh\necho \"$0 $@\" >>"+canary+"\ncat\n"), 0o755))
			attack(r, run)
			_ = os.Remove(canary) // what git ran to set it up
			r.write("app/src/app.py", "changed\n")
			r.write("cosign.key", "")
			o := options(r.dir)
			getenv := o.Getenv
			o.Getenv = func(variable string) string {
				if variable == "PATH" {
					return ".::" + getenv(variable)
				}
				return getenv(variable)
			}
			c, err := o.ReadCommit(t.Context())
			if err == nil && len(c.Dirty) == 0 {
				t.Error("the change is not found")
			}
			_, variationsErr := o.Variations(t.Context())
			_, trackedErr := o.Tracked(t.Context(), []string{r.path("cosign.key"), r.path("app/run.sh")})
			t.Logf("commit %q, %v; %v; %v", c.Dirty, err, variationsErr, trackedErr)
			if said, err := os.ReadFile(canary); err == nil {
				t.Errorf("a program of the repository was run:\n%s", said)
			}
		})
	}
}

// The judge of the attacks: the user's own git does run what they name.
func TestTheProgramsAreOnesThatGitRuns(t *testing.T) {
	r := newCheckout(t)
	canary := filepath.Join(t.TempDir(), "ran")
	run := filepath.Join(t.TempDir(), "run")
	r.do(os.WriteFile(run, []byte("#!/bin/sh\necho \"$0 $@\" >>"+canary+"\ncat\n"), 0o755))
	r.filter("filter.x.clean", run)
	r.git("config", "core.fsmonitor", run)
	r.write("app/src/app.py", "print(3)\n")
	cmd := exec.Command("git", "status")
	cmd.Dir = r.dir
	out, _ := cmd.CombinedOutput() // whatever it says: what it ran is told by the file
	if said, err := os.ReadFile(canary); err != nil || strings.Count(string(said), run) < 2 {
		t.Errorf("git ran %q: %v: %s", said, err, out)
	}
}

// The caller's environment, which a hook or a job may have set, does not lead git
// elsewhere.
func TestAttackEnvironmentOfGit(t *testing.T) {
	r := newCheckout(t)
	r.write("app/src/app.py", "changed\n")
	canary := filepath.Join(t.TempDir(), "ran")
	run := filepath.Join(t.TempDir(), "run")
	r.do(os.WriteFile(run, []byte("#!/bin/sh\necho \"$0 $@\" >>"+canary+"\ncat\n"), 0o755))
	for name, value := range map[string]string{
		"GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/", "GIT_INDEX_FILE": "/nonexistent", "GIT_EXTERNAL_DIFF": run, "GIT_EXEC_PATH": filepath.Dir(run),
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": run, "GIT_CONFIG_PARAMETERS": "'core.fsmonitor'='" + run + "'",
		"GIT_OBJECT_DIRECTORY": "/nonexistent", "GIT_TRACE": canary, "GIT_SSH_COMMAND": run, "GIT_PAGER": run, "PAGER": run,
	} {
		t.Setenv(name, value)
	}
	c, err := options(r.dir).ReadCommit(t.Context())
	if err != nil || fmt.Sprint(c.Dirty) != "[app/src/app.py]" {
		t.Errorf("%q, %v", c.Dirty, err)
	}
	if said, err := os.ReadFile(canary); err == nil {
		t.Errorf("a program of the environment was run:\n%s", said)
	}
}

// Root releases from a user's checkout: git's own check of owners is for what it would
// run, and nothing is.
func TestRepositoryOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("giving files away needs root")
	}
	r := newCheckout(t)
	r.do(filepath.WalkDir(r.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 4242, 4242)
	}))
	c, err := options(r.dir).ReadCommit(t.Context())
	if err != nil || c.Hash == "" || len(c.Dirty) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func (r checkout) hooks(folder, run string) {
	text, err := os.ReadFile(run)
	r.do(err)
	for _, hook := range []string{"post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout", "fsmonitor-watchman"} {
		r.write(filepath.Join(folder, hook), string(text))
		r.do(os.Chmod(r.path(filepath.Join(folder, hook)), 0o755))
	}
}

// filter sets a key, and gives each file a filter.
func (r checkout) filter(key, run string) {
	r.git("config", key, run)
	_, rest, _ := strings.Cut(key, ".")
	name := rest[:max(strings.LastIndexByte(rest, '.'), 0)]
	folder := ".git/info"
	if info, err := os.Stat(r.path(".git")); err != nil || !info.IsDir() {
		r.t.Fatal("no repository of its own")
	}
	if name == "" || strings.Contains(name, "=") {
		name = "x"
	}
	r.write(filepath.Join(folder, "attributes"), "* filter="+name+"\n")
}

// fsmonitorIndex lets the index say that a monitor is in use.
func (r checkout) fsmonitorIndex() {
	cmd := exec.Command("git", "update-index", "--fsmonitor", "--force-write-index")
	cmd.Dir = r.dir
	_ = cmd.Run() // the monitor is a stranger to its own protocol
}

// promise takes an object away and names a remote that has it.
func (r checkout) promise(object, url string) {
	name := strings.TrimSpace(r.git("rev-parse", object))
	r.do(os.Remove(r.path(filepath.Join(".git/objects", name[:2], name[2:]))))
	r.git("config", "core.repositoryFormatVersion", "1")
	r.git("config", "extensions.partialClone", "evil")
	r.git("config", "protocol.allow", "always")
	r.git("config", "remote.evil.promisor", "true")
	r.git("config", "remote.evil.url", url)
}
