package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// rootless compares builds of a user who is not root with root's, both by the builder in
// the program.
func rootless(ctx context.Context, b *bench) (rows []row, err error) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(b.stderr, "bench: rootless is not measured: it takes root to be root and another")
		return nil, nil
	}
	p, err := b.newPlain(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	root := func() (cost, error) { return p.build(ctx, "root", nil) }
	ordinary := func() (cost, error) { return p.build(ctx, "ordinary", p.person) }
	measured, err := alternate(2*b.runs, root, ordinary)
	if err != nil {
		return nil, err
	}
	r := compare("build without root, against root's", measured[1], measured[0]).atMostTimes(1.3)
	r.Note = "a changed source, and the base image there; each starts the builder in the program"
	return []row{r}, nil
}

// plain is a folder that an ordinary user may enter, and that user.
type plain struct {
	bench  // its own, whose folder that is
	person *syscall.Credential
}

const plainName = "mrelease-bench"

func (b *bench) newPlain(ctx context.Context) (p *plain, err error) {
	p = &plain{bench: *b}
	if p.dir, err = os.MkdirTemp("", "bench-plain-*"); err != nil {
		return nil, err
	}
	if p.person, err = makeUser(ctx, plainName); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	program, err := os.ReadFile(b.path("bin/mrelease"))
	err = errors.Join(err, os.WriteFile(filepath.Join(p.dir, "mrelease"), program, 0o755), os.CopyFS(filepath.Join(p.dir, "base"), os.DirFS(b.path("build/base"))), os.Chmod(p.dir, 0o755), p.give(p.dir))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("setting up a user's folder: %w", err), p.remove())
	}
	return p, nil
}

// makeUser makes a user with a range of subordinate ids.
func makeUser(ctx context.Context, name string) (*syscall.Credential, error) {
	if _, err := user.Lookup(name); err != nil {
		if out, err := exec.CommandContext(ctx, "useradd", "--no-create-home", "--home-dir", "/nonexistent", name).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("making a user: %w: %s", err, out)
		}
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("making a user: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, failed := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, failed)
}

// remove takes the user away, too. Not with the benchmark's context, which may have ended.
func (p *plain) remove() error {
	return errors.Join(os.RemoveAll(p.dir), exec.Command("userdel", "--force", plainName).Run())
}

// give makes a folder the user's.
func (p *plain) give(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(p.person.Uid), int(p.person.Gid))
	})
}

// build builds a new project, as root or as somebody else.
func (p *plain) build(ctx context.Context, state string, as *syscall.Credential) (c cost, err error) {
	project, err := p.newProject()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, project.remove()) }()
	digest, err := p.baseDigest()
	if err != nil {
		return c, err
	}
	base := fmt.Sprintf("build: {contexts: {iexechub/python-scone: %q}}\n", "oci-layout://"+filepath.Join(p.dir, "base")+"@"+digest)
	for file, text := range map[string]string{"base.yaml": base, ".dockerignore": "base.yaml\ndist\n"} {
		if err := os.WriteFile(filepath.Join(project.dir, file), []byte(text), 0o644); err != nil {
			return c, fmt.Errorf("configuring mrelease: %w", err)
		}
	}
	if err := p.give(project.dir); err != nil {
		return c, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.dir, "mrelease"), "build", "--config", "mrelease.yaml", "--config", "base.yaml",
		"--builder", "embedded", "--state", filepath.Join(p.dir, state), "--source-date-epoch", epoch, "--progress", "quiet")
	cmd.Dir = project.dir
	cmd.Env = []string{"HOME=" + p.dir, "USER=" + plainName, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	_, c, err = timed(cmd)
	return c, err
}
