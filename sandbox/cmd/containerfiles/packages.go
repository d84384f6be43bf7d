package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted are the files of each package that the image has, as patterns. TRIPLET stands
// for the name that the architecture has in the folders of libraries.
//
// runc is what the embedded builder runs, which there is for amd64 only; git is what
// judges a checkout. Both need libraries. busybox is the shell, which CI systems start to
// run a job in an image.
func (c *collector) wanted() map[string][]string {
	all := map[string][]string{
		"busybox-static":  {"bin/busybox"},
		"ca-certificates": {certificates + "*.crt"},
		"git":             {"usr/bin/git"},
		"libc6":           {"lib/TRIPLET/libc.so.6", "lib/TRIPLET/ld-linux-*", "lib64/ld-linux-*", "lib/ld-linux-*"},
		"libpcre2-8-0":    {"usr/lib/TRIPLET/libpcre2-8.so.0*"},
		"libseccomp2":     {"usr/lib/TRIPLET/libseccomp.so.2*"},
		"runc":            {"usr/sbin/runc"},
		"zlib1g":          {"lib/TRIPLET/libz.so.1*"},
	}
	if c.arch != "amd64" {
		delete(all, "runc")
		delete(all, "libseccomp2")
	}
	return all
}

const certificates = "usr/share/ca-certificates/mozilla/"

// triplets are the architectures that there is an image for.
func triplets() map[string]string {
	return map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
}

// pin is a package's version, and the digest of its file.
type pin struct{ name, version, digest string }

// readPins reads the file with a package a line; it must name all.
func (c *collector) readPins() (map[string]pin, error) {
	text, err := os.ReadFile(c.pins)
	if err != nil {
		return nil, err
	}
	pins := map[string]pin{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			pins[fields[0]] = pin{fields[0], fields[1], fields[2]}
		}
	}
	for name := range c.wanted() {
		if pins[name] == (pin{}) {
			return nil, fmt.Errorf("%s has no package %s: make image-pins", c.pins, name)
		}
	}
	return pins, nil
}

func writePins(file string, pins map[string]pin) error {
	var text strings.Builder
	for _, name := range sorted(pins) {
		fmt.Fprintln(&text, name, pins[name].version, pins[name].digest)
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// collector gets packages of an architecture.
type collector struct {
	arch, pins  string
	update, any bool
	work        string
	apt         []string // options
}

// goneError says that no mirror has a version.
type goneError struct{ name, said string }

func (e *goneError) Error() string {
	return fmt.Sprintf("the mirrors of this machine do not have %s: make image-pins takes what they have (%s)", e.name, e.said)
}

// get returns the files of the packages as they are pinned.
func (c *collector) get(ctx context.Context) (map[string]string, error) {
	pins := map[string]pin{}
	if !c.update {
		var err error
		if pins, err = c.readPins(); err != nil {
			return nil, err
		}
	}
	if err := c.prepareApt(ctx); err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range sorted(c.wanted()) {
		file, got, err := c.download(ctx, pin{name: name, version: pins[name].version})
		var gone *goneError
		if errors.As(err, &gone) && c.any {
			fmt.Fprintf(os.Stderr, "containerfiles: %v; today's is taken, and the image is another one\n", err)
			delete(pins, name)
			file, got, err = c.download(ctx, pin{name: name})
		}
		if err != nil {
			return nil, err
		}
		if want, ok := pins[name]; ok && got != want {
			return nil, fmt.Errorf("%s %s is %s, want %s", name, got.version, got.digest, want.digest)
		}
		files[name], pins[name] = file, got
	}
	if c.update {
		return files, writePins(c.pins, pins)
	}
	return files, nil
}

// prepareApt gives apt lists of another architecture's packages, when it is one.
func (c *collector) prepareApt(ctx context.Context) error {
	own, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return fmt.Errorf("asking dpkg: %w", err)
	}
	if strings.TrimSpace(string(own)) == c.arch {
		return nil
	}
	lists := filepath.Join(c.work, "lists")
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return err
	}
	c.apt = []string{"-o", "APT::Architecture=" + c.arch, "-o", "APT::Architectures=" + c.arch, "-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}
	return c.runApt(ctx, c.work, "update", "-qq")
}

func (c *collector) runApt(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append(slices.Clone(c.apt), args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// download gets a package, in a version or in today's.
func (c *collector) download(ctx context.Context, want pin) (file string, got pin, err error) {
	dir, err := os.MkdirTemp(c.work, "package-*")
	if err != nil {
		return "", got, err
	}
	spec := want.name
	if want.version != "" {
		spec += "=" + want.version
	}
	if err := c.runApt(ctx, dir, "download", "-qq", spec); err != nil {
		return "", got, &goneError{spec, err.Error()}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return "", got, errors.Join(fmt.Errorf("apt-get download %s: %w", spec, fs.ErrNotExist), err)
	}
	content, err := os.ReadFile(found[0])
	if err != nil {
		return "", got, err
	}
	version, err := exec.CommandContext(ctx, "dpkg-deb", "--field", found[0], "Version").Output()
	return found[0], pin{want.name, strings.TrimSpace(string(version)), fmt.Sprintf("sha256:%x", sha256.Sum256(content))}, err
}
