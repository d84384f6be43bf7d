package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a module that packages are linked from, or Go's standard library.
type module struct {
	path, version string
	dir           string
	packages      []string // their folders
}

// goPackage is what go list -json says of a package; see go help list.
type goPackage struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// read returns the modules of packages, but for the program's own.
func read(packages io.Reader) ([]module, error) {
	all := map[string]*module{}
	for dec := json.NewDecoder(packages); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading packages: %w", err)
		}
		m, err := p.of()
		if err != nil {
			return nil, err
		}
		if m.path == "" {
			continue
		}
		if all[m.path] == nil {
			all[m.path] = &m
		}
		all[m.path].packages = append(all[m.path].packages, p.Dir)
	}
	var modules []module
	for _, m := range all {
		modules = append(modules, *m)
	}
	if len(modules) == 0 {
		return nil, errors.New("reading packages: there are none")
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

// of returns a package's module; none for the program's own.
func (p goPackage) of() (module, error) {
	switch m := p.Module; {
	case p.Standard:
		root, ok := strings.CutSuffix(filepath.ToSlash(p.Dir), "/src/"+p.ImportPath)
		if !ok {
			return module{}, fmt.Errorf("finding Go's folder: package %s is in %s", p.ImportPath, p.Dir)
		}
		return module{path: "Go's standard library", dir: root}, nil
	case m == nil:
		return module{}, fmt.Errorf("package %s is of no module", p.ImportPath)
	case m.Main:
		return module{}, nil
	case m.Replace != nil:
		return module{path: m.Path, version: m.Replace.Path + " " + m.Replace.Version, dir: m.Replace.Dir}, nil
	default:
		return module{path: m.Path, version: m.Version, dir: m.Dir}, nil
	}
}

// named matches the names of files that hold licences or what has to be passed on with
// them.
var named = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying|copyright|notice|patents|authors)([-_.][-_.\w]*)?$`)

// files returns the files of a module's licences, relative to its folder.
func (m module) files() ([]string, error) {
	seen, found := map[string]bool{}, []string{}
	for _, dir := range m.packages {
		for ; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			rel, err := filepath.Rel(m.dir, dir)
			if err != nil || strings.HasPrefix(rel, "..") {
				return nil, fmt.Errorf("package in %s is not below its module, %s", dir, m.dir)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, fmt.Errorf("looking for licences: %w", err)
			}
			for _, e := range entries {
				if e.Type().IsRegular() && named.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
					found = append(found, filepath.ToSlash(filepath.Join(rel, e.Name())))
				}
			}
			if rel == "." {
				break
			}
		}
	}
	slices.Sort(found)
	return found, nil
}
