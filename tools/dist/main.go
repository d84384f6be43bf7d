// Command dist packs a release of mrelease: it takes the program for each system and
// makes archives, packages, bills of material, checksums and a statement of what was
// made from what. The same input gives the same bytes, wherever and whenever.
//
//	dist -version 1.2.3 -commit HEX -source URL -programs DIR -with DIR -out DIR -sums FILE
//
// DIR of -programs holds mrelease_VERSION_OS_ARCH for each system; that of -with what
// goes with the program: files, man/ and completion/.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	r := release{}
	flag.StringVar(&r.version, "version", "", "version, without a v")
	flag.StringVar(&r.commit, "commit", "", "commit of the source")
	flag.StringVar(&r.source, "source", "", "address of the source's repository")
	flag.StringVar(&r.programs, "programs", "", "folder of the programs")
	flag.StringVar(&r.with, "with", "", "folder of what goes with the program")
	flag.StringVar(&r.out, "out", "", "folder to fill; it must be missing or empty")
	sums := flag.String("sums", "", "file of all names, sizes and checksums")
	flag.Parse()
	if err := errors.Join(r.make(), r.writeSums(*sums)); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// made is the time of all that is made: the one that mrelease gives to the files of
// images. The commit's would make each release's bytes depend on the commit that names
// their checksums.
var made = time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC)

// release is what is made.
type release struct {
	version, commit, source string
	programs, with, out     string
}

// program is the program for a system.
type program struct{ name, goos, goarch, path string }

// versionForm is what fits into a file's name, a deb's and an rpm's version.
var versionForm = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$`)

func (r release) make() error {
	if !versionForm.MatchString(r.version) {
		return fmt.Errorf("reading version %q: want 1.2.3 or 1.2.3-rc.1", r.version)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if found, err := os.ReadDir(r.out); err != nil || len(found) > 0 {
		return errors.Join(err, fmt.Errorf("filling %s: it is not empty", r.out))
	}
	programs, err := r.list()
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := r.pack(p); err != nil {
			return fmt.Errorf("packing %s: %w", p.name, err)
		}
	}
	return r.state(programs)
}

// list finds the programs.
func (r release) list() (programs []program, err error) {
	paths, err := filepath.Glob(filepath.Join(r.programs, "mrelease_"+r.version+"_*"))
	if err != nil || len(paths) == 0 {
		return nil, errors.Join(err, fmt.Errorf("looking for programs: none of version %s in %s", r.version, r.programs))
	}
	for _, path := range paths {
		name := filepath.Base(path)
		parts := strings.Split(strings.TrimSuffix(name, ".exe"), "_")
		if len(parts) != 4 {
			return nil, fmt.Errorf("reading name %s: want mrelease_VERSION_OS_ARCH", name)
		}
		programs = append(programs, program{name, parts[2], parts[3], path})
	}
	return programs, nil
}

// pack makes all that there is for a system.
func (r release) pack(p program) error {
	with, err := r.companions()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	bill, err := r.bill(p)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(p.name, ".exe")
	steps := []error{
		os.WriteFile(filepath.Join(r.out, p.name), data, 0o755),
		os.WriteFile(filepath.Join(r.out, base+".spdx.json"), bill, 0o644),
	}
	files := append([]file{{"mrelease" + strings.TrimPrefix(p.name, base), 0o755, data}}, with...)
	if p.goos == "windows" {
		steps = append(steps, writeZip(filepath.Join(r.out, base+".zip"), base, files))
	} else {
		steps = append(steps, writeTar(filepath.Join(r.out, base+".tar.gz"), base, files))
	}
	if p.goos == "linux" {
		steps = append(steps, r.packages(p, files))
	}
	return errors.Join(steps...)
}

// file is a file of an archive.
type file struct {
	name string // slash-separated
	mode os.FileMode
	data []byte
}

// companions reads what goes with the program, in the order of the names.
func (r release) companions() (files []file, err error) {
	err = filepath.WalkDir(r.with, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.with, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, file{filepath.ToSlash(name), 0o644, data})
		return err
	})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, err
}
