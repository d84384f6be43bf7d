package enclave

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraries returns the files that are loaded with a program when it starts:
// its interpreter, what it and they need, and what is preloaded.
func libraries(program string, s Settings) ([]string, error) {
	l := loader{folders: s.Folders, seen: map[string]bool{}}
	if err := l.load(program); err != nil {
		return nil, err
	}
	for _, name := range append(s.Preload, s.Extensions...) {
		if err := l.need(name, nil); err != nil {
			return nil, err
		}
	}
	return l.files, nil
}

// loader finds libraries as the dynamic linker does, with the usual folders in
// place of its cache.
type loader struct {
	folders []string // searched first
	seen    map[string]bool
	files   []string
}

func usualFolders() []string {
	return []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib", "/opt/scone/lib"}
}

// load reads what one ELF file needs and loads that.
func (l *loader) load(name string) (err error) {
	f, err := elf.Open(name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("reading what %s needs: %w", name, err)
	}
	if interpreter := interpreterOf(f); interpreter != "" {
		needed = append(needed, interpreter)
	}
	folders := runPath(f, name)
	for _, n := range needed {
		if err := l.need(n, folders); err != nil {
			return err
		}
	}
	return nil
}

// need loads a library once, from the first folder that has it.
func (l *loader) need(name string, runPath []string) error {
	file, err := l.find(name, runPath)
	if err != nil {
		return err
	}
	if l.seen[file] {
		return nil
	}
	l.seen[file] = true
	l.files = append(l.files, file)
	return l.load(file)
}

func (l *loader) find(name string, runPath []string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.EvalSymlinks(name)
	}
	for _, list := range [][]string{l.folders, runPath, usualFolders()} {
		for _, folder := range list {
			file := filepath.Join(folder, name)
			if _, err := os.Stat(file); err == nil {
				return filepath.EvalSymlinks(file)
			}
		}
	}
	return "", fmt.Errorf("library %s is nowhere", name)
}

// runPath returns the folders that a file names for what it needs itself.
func runPath(f *elf.File, name string) []string {
	var folders []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			continue // it has no dynamic section
		}
		for _, v := range values {
			v = strings.NewReplacer("$ORIGIN", filepath.Dir(name), "${ORIGIN}", filepath.Dir(name)).Replace(v)
			folders = append(folders, filepath.SplitList(v)...)
		}
	}
	return folders
}

// interpreterOf returns the dynamic linker that a program asks for.
func interpreterOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return ""
		}
		return strings.TrimRight(string(name), "\x00")
	}
	return ""
}
