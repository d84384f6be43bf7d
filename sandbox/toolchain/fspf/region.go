package fspf

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Class says how the files of a region are protected.
type Class string

// The classes of a region. What is encrypted is also authenticated.
const (
	NotProtected  Class = "not-protected"
	Authenticated Class = "authenticated"
	Encrypted     Class = "encrypted"
)

// Region is a path prefix with its protection.
type Region struct {
	Path        string  `json:"path"`             // absolute and clean
	Class       Class   `json:"class"`            // one of three
	Kernel      string  `json:"kernel,omitempty"` // folder of the files; empty: they live in memory
	ChunkLength int     `json:"chunk-length,omitempty"`
	KeyLength   int     `json:"key-length,omitempty"`
	Key         []byte  `json:"key,omitempty"` // of an encrypted region's files
	Files       []Entry `json:"files,omitempty"`
}

// Protection is the content of a protection file.
type Protection struct {
	Version int      `json:"version"`
	Regions []Region `json:"regions"`
}

// AddRegion adds a region whose path is not taken.
func (p *Protection) AddRegion(r Region) error {
	r.Path = clean(r.Path)
	if slices.ContainsFunc(p.Regions, func(other Region) bool { return other.Path == r.Path }) {
		return fmt.Errorf("region %s exists already", r.Path)
	}
	if r.Class == NotProtected && (r.ChunkLength != 0 || r.KeyLength != 0) {
		return errors.New("chunk length and key length are for protected regions only")
	}
	p.Regions = append(p.Regions, r)
	return nil
}

// Check says what is missing before the file can be encrypted.
func (p *Protection) Check() error {
	if p.regionOf("/") == nil {
		return errors.New("there is no root region /")
	}
	return nil
}

// named returns the region with exactly this path.
func (p *Protection) named(name string) (*Region, error) {
	name = clean(name)
	for i := range p.Regions {
		if p.Regions[i].Path == name {
			return &p.Regions[i], nil
		}
	}
	return nil, fmt.Errorf("there is no region %s", name)
}

// regionOf returns the region that decides about a path: the one with the
// longest prefix.
func (p *Protection) regionOf(name string) *Region {
	var best *Region
	for i := range p.Regions {
		r := &p.Regions[i]
		if r.contains(name) && (best == nil || len(r.Path) > len(best.Path)) {
			best = r
		}
	}
	return best
}

func (r *Region) contains(name string) bool {
	return r.Path == "/" || name == r.Path || strings.HasPrefix(name, r.Path+"/")
}

// clean makes an absolute path; "." is the root of a volume.
func clean(name string) string { return path.Clean("/" + name) }

// String lists the regions and their files, a line each.
func (p Protection) String() string {
	var b strings.Builder
	for _, r := range p.Regions {
		backing := "ephemeral"
		if r.Kernel != "" {
			backing = "kernel " + r.Kernel
		}
		fmt.Fprintf(&b, "region %s: %s, %s, files: %d\n", r.Path, r.Class, backing, len(r.Files))
		for _, f := range r.Files {
			if f.Link != "" {
				fmt.Fprintf(&b, "\t%s -> %s\n", f.Name, f.Link)
			} else {
				fmt.Fprintf(&b, "\t%s %s\n", f.SHA256, f.Name)
			}
		}
	}
	return b.String()
}
