package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// StartError says why it cannot be told what is loaded when a program starts.
type StartError struct {
	Path    string // of the file; or its name, when it is not found
	Problem string
}

// Error implements error.
func (e *StartError) Error() string { return e.Path + " " + e.Problem }

// Find returns the path of the program that an image starts: as the kernel finds it,
// links not followed. Root is what a process in its container sees, by paths without
// the first slash.
//
// Errors: *[StartError].
func Find(root fs.FS, config v1.Config) (string, error) {
	args := slices.Concat(config.Entrypoint, config.Cmd)
	if len(args) == 0 {
		return "", &StartError{"ENTRYPOINT", "is not there, nor CMD"}
	}
	for _, at := range onPath(args[0], config) {
		info, err := fs.Stat(root, name(at))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", odd(at, err)
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return at, nil
		}
	}
	return "", &StartError{args[0], "is no program in the image"}
}

// Started returns the paths of what may be loaded when a program starts, the program
// first: its interpreter, the libraries that they need or that the environment names,
// and the files that tell the dynamic linker where to look. Linkers differ in the order
// in which they look, so a library counts wherever one could find it. Unlike
// [FS.Program] it does not guess: what cannot be told is an error.
//
// Errors: *[StartError].
func Started(root fs.FS, program string, env []string) ([]string, error) {
	s := start{root: root}
	if err := s.readPaths(env); err != nil {
		return nil, err
	}
	if err := s.load(program); err != nil {
		return nil, err
	}
	if len(s.loaded) == 1 { // there is no dynamic linker
		return s.loaded, nil
	}
	for _, preloaded := range s.preloaded {
		if err := s.need(preloaded, nil); err != nil {
			return nil, err
		}
	}
	return append(s.loaded, linkerPreload, linkerCache, muslPaths), nil
}

// Where the dynamic linkers of glibc and musl read what to load, and from where. The
// files need not exist.
const (
	linkerPreload = "/etc/ld.so.preload"
	linkerCache   = "/etc/ld.so.cache"
	muslPaths     = "/etc/ld-musl-x86_64.path"

	maxLinkerFile = 4 << 20
)

// start collects what is loaded.
type start struct {
	root      fs.FS
	folders   []string // that are searched for every library
	cached    []string // paths of libraries
	preloaded []string
	loaded    []string
}

// readPaths reads where libraries are looked for, from the environment and the linkers'
// own files.
func (s *start) readPaths(env []string) error {
	for _, v := range env {
		key, value, _ := strings.Cut(v, "=")
		switch {
		case key == "LD_LIBRARY_PATH":
			s.folders = append(s.folders, strings.FieldsFunc(value, isOneOf(":;"))...)
			if strings.Trim(value, ":;") != value || strings.Contains(value, "::") {
				return &StartError{"LD_LIBRARY_PATH", "has an empty part, which is the working directory"}
			}
		case key == "LD_PRELOAD" || key == "LD_AUDIT":
			s.preloaded = append(s.preloaded, strings.FieldsFunc(value, isOneOf(": "))...)
		case strings.HasPrefix(key, "LD_"):
			return &StartError{key, "is set: what it does to the program is not known"}
		}
	}
	cache, err := s.read(linkerCache)
	if err != nil {
		return err
	}
	for _, text := range strings.Split(cache, "\x00") {
		if path.IsAbs(text) {
			s.cached = append(s.cached, text)
		}
	}
	preload, err := s.read(linkerPreload)
	if err != nil {
		return err
	}
	s.preloaded = append(s.preloaded, strings.FieldsFunc(preload, isOneOf(": \t\n"))...)
	own, err := s.read(muslPaths)
	s.folders = slices.Concat(s.folders, strings.FieldsFunc(own, isOneOf(":\n")), usualFolders())
	return err
}

func isOneOf(separators string) func(rune) bool {
	return func(r rune) bool { return strings.ContainsRune(separators, r) }
}

// read returns the content of a linker's file; nothing when it is not there.
func (s *start) read(file string) (string, error) {
	info, err := fs.Stat(s.root, name(file))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", odd(file, err)
	}
	if info.Size() > maxLinkerFile {
		return "", &StartError{file, fmt.Sprintf("has %d bytes, more than %d", info.Size(), maxLinkerFile)}
	}
	text, err := fs.ReadFile(s.root, name(file))
	if err != nil {
		return "", odd(file, err)
	}
	return string(text), nil
}

// odd tells what is no file, or cannot be reached, from a failure of whoever reads it.
func odd(file string, err error) error {
	if errors.Is(err, fs.ErrInvalid) {
		return &StartError{file, "is no file that can be read"}
	}
	return fmt.Errorf("reading %s: %w", file, err)
}

// load adds a file and what it needs.
func (s *start) load(file string) error {
	if slices.Contains(s.loaded, file) {
		return nil
	}
	s.loaded = append(s.loaded, file)
	if len(s.loaded) > maxNeeded {
		return &StartError{s.loaded[0], fmt.Sprintf("loads more than %d files", maxNeeded)}
	}
	opened, err := s.root.Open(name(file))
	if errors.Is(err, fs.ErrNotExist) {
		return &StartError{file, "is needed and not there"}
	}
	if err != nil {
		return odd(file, err)
	}
	needed, err := needsOf(opened, file)
	if err := errors.Join(err, opened.Close()); err != nil {
		return err
	}
	if needed.interpreter != "" {
		if err := s.load(path.Clean("/" + needed.interpreter)); err != nil {
			return err
		}
	}
	for _, library := range needed.libraries {
		if err := s.need(library, runPath(needed.folders, path.Dir(file))); err != nil {
			return err
		}
	}
	return nil
}

// needsOf reads what an ELF file needs. A file that no kernel starts by itself, such as
// a script, is an error: what it starts in turn is not known.
func needsOf(file fs.File, at string) (needs, error) {
	r, ok := file.(io.ReaderAt)
	if !ok {
		return needs{}, fmt.Errorf("reading %s: it cannot be read at any place", at)
	}
	head := readAt(r, 0, 5)
	switch {
	case string(head[:min(2, len(head))]) == "#!":
		return needs{}, &StartError{at, "is a script: what it starts is not looked into"}
	case string(head) != "\x7fELF\x02":
		return needs{}, &StartError{at, "is no program for this machine (ELF, 64 bits)"}
	}
	if found := readNeeds(r); found != nil {
		return *found, nil
	}
	return needs{}, nil
}

// need adds a library, from wherever a linker could take it.
func (s *start) need(library string, runPath []string) error {
	candidates, err := s.candidates(library, slices.Concat(s.folders, runPath))
	if err != nil {
		return err
	}
	found := false
	for _, at := range candidates {
		_, err := fs.Stat(s.root, name(at))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return odd(at, err)
		}
		found = true
		if err := s.load(at); err != nil {
			return err
		}
	}
	if !found && !s.isLoaded(library) { // musl's interpreter is its libc
		return &StartError{s.loaded[0], "needs " + library + ", which is in none of the usual folders"}
	}
	return nil
}

// candidates returns the paths at which a library can be.
func (s *start) candidates(library string, folders []string) ([]string, error) {
	if strings.Contains(library, "/") {
		if !path.IsAbs(library) || strings.Contains(library, "$") {
			return nil, &StartError{s.loaded[0], "needs " + library + ", whose place is not known"}
		}
		return []string{library}, nil
	}
	var at []string
	for _, folder := range folders {
		if !path.IsAbs(folder) || strings.Contains(folder, "$") {
			return nil, &StartError{s.loaded[0], "looks for libraries in " + folder + ", a folder that is not known"}
		}
		for _, variant := range variants() {
			if _, err := fs.Stat(s.root, name(path.Join(folder, variant))); err == nil {
				return nil, &StartError{path.Join(folder, variant), "is there: which library is taken depends on the processor"}
			}
		}
		at = append(at, path.Join(folder, library))
	}
	for _, cached := range s.cached {
		if path.Base(cached) == library {
			at = append(at, cached)
		}
	}
	return at, nil
}

// variants are the folders in which glibc looks first, for libraries made for some
// processors.
func variants() []string { return []string{"glibc-hwcaps", "tls", "haswell", "avx512_1", "x86_64"} }

func (s *start) isLoaded(library string) bool {
	return slices.ContainsFunc(s.loaded, func(file string) bool { return path.Base(file) == library })
}

// name is a path as package fs has it.
func name(at string) string {
	if at = path.Clean(at); at != "/" {
		return strings.TrimPrefix(at, "/")
	}
	return "."
}
