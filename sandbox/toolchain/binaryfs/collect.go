// Package binaryfs is a stand-in for SCONE's binary file system: the files of a
// folder, made into a shared library that is measured with the enclave.
//
// As SCONE's own, it holds regular files and symbolic links, leaves out what is
// served from the host, and is made in two steps: [Collect] writes a blob and an
// assembler file that includes it, [Link] makes the library. The blob is a tar
// archive in which everything but names, permissions and contents is fixed, so
// the same files make the same bytes. The assembler file is a real one: gcc links
// it too.
package binaryfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Names of the files that Collect writes, as SCONE names them.
const (
	BlobName     = "binary_fs.blob"
	AssemblyName = "binary_fs_blob.s"
	TemplateName = "libbinary_fs_template.a"
)

// Section is the section of the library that holds the blob.
const Section = ".scone.binaryfs"

// hostPathsName is the blob's first entry: the paths served from the host.
const hostPathsName = ".standin/host-paths"

const assembly = `# Made by a stand-in for "scone binary-fs".
	.section ` + Section + `, "a", @progbits
	.balign 16
	.globl binary_fs_blob
binary_fs_blob:
	.incbin "` + BlobName + `"
	.globl binary_fs_blob_end
binary_fs_blob_end:
	.section .note.GNU-stack, "", @progbits
`

// emptyArchive is a library without members: the stand-in has no code to link.
const emptyArchive = "!<arch>\n"

// Options say what to collect.
type Options struct {
	Root          string
	Output        string   // folder for what is made; never collected itself
	Include       []string // shell globs on paths from the root; none: everything
	HostPaths     []string // absolute; served from the host
	PreserveLinks bool     // keep links that point into Root as they are
}

// Collect writes the blob and the files to link it. It stays on the file system
// of Root, so /proc and what a container's engine mounts are left out. It
// returns the number of files.
func Collect(o Options) (int, error) {
	c, err := newCollector(o)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(o.Output, 0o755); err != nil {
		return 0, err
	}
	if err := c.writeBlob(filepath.Join(o.Output, BlobName)); err != nil {
		return 0, fmt.Errorf("writing %s: %w", BlobName, err)
	}
	for name, text := range map[string]string{AssemblyName: assembly, TemplateName: emptyArchive} {
		if err := os.WriteFile(filepath.Join(o.Output, name), []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	return c.files, nil
}

type collector struct {
	Options
	device  uint64
	include []*regexp.Regexp
	out     *tar.Writer
	files   int
}

func newCollector(o Options) (*collector, error) {
	var err error
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return nil, err
	}
	if o.Output, err = filepath.Abs(o.Output); err != nil {
		return nil, err
	}
	c := &collector{Options: o}
	info, err := os.Stat(o.Root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory", o.Root)
	}
	c.device = deviceOf(info)
	for _, p := range o.HostPaths {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("host path %s is not absolute", p)
		}
	}
	for _, pattern := range o.Include {
		re, err := glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("reading pattern %q: %w", pattern, err)
		}
		c.include = append(c.include, re)
	}
	return c, nil
}

func deviceOf(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev
	}
	return 0
}

// glob makes a regular expression of a shell glob in which * also matches /, as
// it does for SCONE: /dir/* is all beneath /dir.
func glob(pattern string) (*regexp.Regexp, error) {
	text := strings.NewReplacer(`\*`, ".*", `\?`, ".", `\[`, "[", `\]`, "]").Replace(regexp.QuoteMeta(pattern))
	return regexp.Compile("^" + text + "$")
}

func (c *collector) writeBlob(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	c.out = tar.NewWriter(f)
	slices.Sort(c.HostPaths)
	if err := c.add(hostPathsName, 0o644, []byte(strings.Join(c.HostPaths, "\n"))); err != nil {
		return err
	}
	if err := filepath.WalkDir(c.Root, c.visit); err != nil {
		return err
	}
	return c.out.Close()
}

func (c *collector) visit(file string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if file == c.Output || deviceOf(info) != c.device {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	name := "/" + strings.TrimPrefix(strings.TrimPrefix(file, c.Root), "/")
	if !c.wanted(name) {
		return nil
	}
	switch {
	case info.Mode().IsRegular():
		return c.addFile(name, file, info)
	case info.Mode().Type() == fs.ModeSymlink:
		return c.addLink(name, file)
	}
	return nil
}

func (c *collector) wanted(name string) bool {
	if slices.Contains(c.HostPaths, name) {
		return false
	}
	return len(c.include) == 0 || slices.ContainsFunc(c.include, func(re *regexp.Regexp) bool { return re.MatchString(name) })
}

func (c *collector) addFile(name, file string, info fs.FileInfo) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c.files++
	return c.add(name[1:], int64(info.Mode().Perm()), content)
}

func (c *collector) add(name string, mode int64, content []byte) error {
	if err := c.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := c.out.Write(content)
	return err
}

// addLink makes a link that points into the root one that is right when the
// root is /.
func (c *collector) addLink(name, file string) error {
	target, err := os.Readlink(file)
	if err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(target, c.Root+"/"); ok && !c.PreserveLinks && c.Root != "/" {
		target = "/" + rest
	}
	c.files++
	return c.out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name[1:], Linkname: target, Mode: 0o777})
}

// Verify compares the image's files with those in a library. With SCONE the
// program sees the library's; the stand-in cannot do that, so it refuses to run a
// program that would see others.
func Verify(library string) error {
	blob, err := blobOf(library)
	if err != nil || blob == nil {
		return err
	}
	files := tar.NewReader(blob)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", library, err)
		}
		if err := compare(h, files); err != nil {
			return err
		}
	}
}

func compare(h *tar.Header, content io.Reader) error {
	if h.Name == hostPathsName {
		return nil
	}
	var want, got []byte
	var err error
	if h.Typeflag == tar.TypeSymlink {
		var target string
		target, err = os.Readlink("/" + h.Name)
		want, got = []byte(h.Linkname), []byte(target)
	} else {
		if want, err = io.ReadAll(content); err != nil {
			return err
		}
		got, err = os.ReadFile("/" + h.Name)
	}
	if err != nil || string(want) != string(got) {
		return fmt.Errorf("/%s differs from the binary file system", h.Name)
	}
	return nil
}
