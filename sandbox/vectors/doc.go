// Package vectors makes the test vectors of docs/verify.md: files as mrelease verify --save
// writes them, right ones and wrong ones, each with the clause that it is about and with
// what must come of it. They are made of releases in a sandbox, with the contracts, the
// registry and the market that it has, so they are other bytes each time.
//
//	make vectors
//
// writes them into build/vectors, for another program that verifies releases.
package vectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// Vector is a file to verify, and what must come of it.
type Vector struct {
	Name   string   `json:"name"`           // of the file, without .json
	Clause string   `json:"clause"`         // of docs/verify.md
	Says   string   `json:"says"`           // what is special about it
	Args   []string `json:"args,omitempty"` // of mrelease verify, beside --config and --bundle
	Want   Want     `json:"want"`
	File   []byte   `json:"-"`
}

// Want is what must come of a vector.
type Want struct {
	Exit  int      `json:"exit"`            // of the program
	Code  string   `json:"code,omitempty"`  // of its error
	Fails []string `json:"fails,omitempty"` // the links that do not hold, in their order; others were looked at and hold, or were not looked at
}

// Outcome is what a vector is in one word.
type Outcome string

// The outcomes.
const (
	Accepted    Outcome = "accepted"
	Rejected    Outcome = "rejected"
	Incomplete  Outcome = "incomplete"    // nothing is wrong, and something was not looked at
	Malformed   Outcome = "malformed"     // no file of --save
	Unsupported Outcome = "not supported" // right, perhaps, but not to be verified as it is asked
)

// Outcome returns what is wanted in one word.
func (w Want) Outcome() Outcome {
	switch {
	case w.Exit == 0:
		return Accepted
	case w.Code == malformed:
		return Malformed
	case w.Exit == exitUsage:
		return Unsupported
	case w.Code == unchecked || w.Code == unmeasured:
		return Incomplete
	}
	return Rejected
}

// Coverage is a table of how many vectors there are of each clause, by outcome, in Markdown,
// and the clauses that have none.
func (m Made) Coverage(clauses []string) (table string, none []string) {
	outcomes := []Outcome{Accepted, Rejected, Incomplete, Unsupported, Malformed}
	count := map[string]map[Outcome]int{}
	for _, v := range m.Vectors {
		if count[v.Clause] == nil {
			count[v.Clause] = map[Outcome]int{}
		}
		count[v.Clause][v.Want.Outcome()]++
	}
	var out strings.Builder
	out.WriteString("| clause |")
	for _, o := range outcomes {
		fmt.Fprintf(&out, " %s |", o)
	}
	out.WriteString("\n|---" + strings.Repeat("|---", len(outcomes)) + "|\n")
	for _, clause := range clauses {
		fmt.Fprintf(&out, "| %s |", clause)
		for _, o := range outcomes {
			fmt.Fprintf(&out, " %d |", count[clause][o])
		}
		out.WriteString("\n")
		if count[clause] == nil {
			none = append(none, clause)
		}
	}
	return out.String(), none
}

// Write writes the vectors into a folder: each file, those that arguments name, and
// vectors.json, which lists them.
func (m Made) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing vectors: %w", err)
	}
	files := maps.Clone(m.Files)
	for _, v := range m.Vectors {
		files[v.Name+".json"] = v.File
	}
	var list bytes.Buffer
	e := json.NewEncoder(&list)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m.Vectors); err != nil {
		return fmt.Errorf("writing vectors: %w", err)
	}
	files["vectors.json"] = list.Bytes()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing vectors: %w", err)
		}
	}
	return nil
}
