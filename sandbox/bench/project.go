package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// epoch is the time that both sides give to an image's files.
const epoch = "1700000000"

// project is what both sides release: the example, with a line in it that no
// other project has, so that no step is found in a cache but the base image.
type project struct {
	name    string // of the app
	version string
	dir     string
}

func (b *bench) newProject() (project, error) {
	number := b.next()
	name := fmt.Sprintf("bench-%d", number)
	p := project{name, fmt.Sprintf("1.0.%d", number), filepath.Join(b.dir, name)}
	if err := os.CopyFS(p.dir, os.DirFS(b.path("examples/hello-python"))); err != nil {
		return p, fmt.Errorf("copying example: %w", err)
	}
	return p, p.touch("src/app.py", "\n# "+name+"\n")
}

// touch adds to a file.
func (p project) touch(file, text string) (err error) {
	f, err := os.OpenFile(filepath.Join(p.dir, file), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("changing example: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

// remove saves the disk of those who run benchmarks.
func (p project) remove() error { return os.RemoveAll(p.dir) }

// mrelease returns a command in the project's folder. The settings are a third
// configuration file, after the example's own and the sandbox's.
func (b *bench) mrelease(ctx context.Context, p project, state, settings string, args ...string) (*exec.Cmd, error) {
	if err := os.WriteFile(filepath.Join(p.dir, "bench.yaml"), []byte(settings), 0o600); err != nil {
		return nil, fmt.Errorf("configuring mrelease: %w", err)
	}
	ignore := "bench.yaml\ndist\n"
	if err := os.WriteFile(filepath.Join(p.dir, ".dockerignore"), []byte(ignore), 0o644); err != nil {
		return nil, fmt.Errorf("configuring mrelease: %w", err)
	}
	args = append(args, "--config", "mrelease.yaml", "--config", filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml"), "--config", "bench.yaml",
		"--state", state, "--source-date-epoch", epoch, "--progress", "quiet")
	if args[0] == "release" {
		args = append(args, "--allow-dirty") // the projects are in no repository
	}
	cmd := exec.CommandContext(ctx, b.path("bin/mrelease"), args...)
	cmd.Dir = p.dir
	return cmd, nil
}

// baseDigest returns the digest of the stand-in base image.
func (b *bench) baseDigest() (string, error) {
	data, err := os.ReadFile(b.path("build/base/index.json"))
	if err != nil {
		return "", fmt.Errorf("reading base image: %w", err)
	}
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(data, &index); err != nil || len(index.Manifests) != 1 {
		return "", fmt.Errorf("reading base image: want one manifest: %w", err)
	}
	return index.Manifests[0].Digest, nil
}

// buildctl returns a command that builds a folder with the options that
// mrelease uses.
func (b *bench) buildctl(ctx context.Context, address, dir, output string, more ...string) (*exec.Cmd, error) {
	digest, err := b.baseDigest()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--addr", address, "build", "--progress", "plain", "--frontend", "dockerfile.v0", "--local", "context=" + dir, "--local", "dockerfile=" + dir,
		"--opt", "platform=linux/amd64", "--opt", "build-arg:SOURCE_DATE_EPOCH=" + epoch,
		"--oci-layout", "base=" + b.path("build/base"), "--opt", "context:iexechub/python-scone=oci-layout://base@" + digest,
		"--output", output,
	}
	return exec.CommandContext(ctx, b.path("bin/buildctl"), append(args, more...)...), nil
}

// worldChain returns what the sandbox says of a chain: the lines of its
// configuration are few and its own.
func worldChain(name string) (map[string]string, error) {
	data, err := os.ReadFile(filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's configuration: %w", err)
	}
	_, block, found := bytes.Cut(data, []byte("\n  "+name+":\n"))
	if !found {
		return nil, fmt.Errorf("reading the sandbox's configuration: it has no chain %s", name)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(block)) {
		if !strings.HasPrefix(line, "    ") {
			break
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		values[key] = strings.Trim(value, `"`)
	}
	return values, nil
}
