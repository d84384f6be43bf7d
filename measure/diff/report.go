package diff

import v1 "github.com/google/go-containerregistry/pkg/v1"

// Schema names the layout of a report in JSON.
const Schema = "mrelease.diff/v1"

// Verdict is the result of a comparison.
type Verdict string

// The verdicts.
const (
	Equal     Verdict = "equal"
	Random    Verdict = "random by design" // differs where a random seal writes, and nowhere else
	Different Verdict = "different"
)

// Report is how two images differ.
type Report struct {
	Schema      string  `json:"schema"`
	Config      Part    `json:"config"`
	Manifest    Part    `json:"manifest"`
	Annotations []Field `json:"annotations,omitempty"` // of the manifest
	Settings    []Field `json:"settings,omitempty"`    // of the config
	Layers      []Layer `json:"layers,omitempty"`      // those that differ
	Causes      []Cause `json:"causes,omitempty"`      // the gravest first
}

// Part is a digest of both images.
type Part struct {
	Verdict Verdict `json:"verdict"`
	A       v1.Hash `json:"a"`
	B       v1.Hash `json:"b"`
}

// Field is a value that differs; one that an image does not have is empty.
type Field struct {
	Name   string `json:"name"`
	A      string `json:"a"`
	B      string `json:"b"`
	Random bool   `json:"random,omitempty"`
}

// Layer is a layer that differs.
type Layer struct {
	Index     int          `json:"index"`          // from 0, in A, or in B when A has none
	A         string       `json:"a,omitempty"`    // diff id; empty: only B has the layer
	B         string       `json:"b,omitempty"`    // diff id; empty: only A has the layer
	CreatedBy string       `json:"createdBy"`      // the instruction that made it
	Base      bool         `json:"base,omitempty"` // it comes from a base image
	Changes   []Change     `json:"changes"`        // the gravest first
	Folded    map[Kind]int `json:"folded,omitempty"`
}

// Kind is what of an entry differs.
type Kind string

// The kinds, the gravest first.
const (
	Package     Kind = "package"  // a version in a package database
	Content     Kind = "content"  // of a file
	Presence    Kind = "presence" // only one image has the entry
	Type        Kind = "type"     // file, folder, link, device
	Link        Kind = "link"     // what a link points to
	Mode        Kind = "mode"
	Owner       Kind = "owner"
	Xattrs      Kind = "xattrs"
	Device      Kind = "device"
	Order       Kind = "order" // of the entries in the layer
	Mtime       Kind = "mtime"
	Header      Kind = "header"      // other fields of the archive's header
	Compression Kind = "compression" // of a layer with the same content
)

func kinds() []Kind {
	return []Kind{Package, Content, Presence, Type, Link, Mode, Owner, Xattrs, Device, Order, Mtime, Header, Compression}
}

// Change is a difference between two entries.
type Change struct {
	Path   string `json:"path"`
	Kind   Kind   `json:"kind"`
	A      string `json:"a"`
	B      string `json:"b"`
	Cause  string `json:"cause,omitempty"` // name of one of the report's causes
	Random bool   `json:"random,omitempty"`
}

// Cause is a known reason for differences.
type Cause struct {
	Name    string `json:"name"`
	Cure    string `json:"cure"`
	Count   int    `json:"count"`   // differences that it explains; 0: those of no one file
	Example string `json:"example"` // path of the first of them
}
