// Outcomes prints what became of attacks, or of cases, as a table: name, expected, got.
// It reads what "go test -json" prints. With "outcomes attack", an attack is a test
// whose name begins with TestAttack, or an attribute "attack" of a test: name, expected
// and got, with tabs between; and so for "outcomes case" and "outcomes chaos". What failed
// is printed behind the table.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	if len(os.Args) != 2 || held[os.Args[1]] == "" {
		fmt.Fprintln(os.Stderr, "usage: go test -json ... | outcomes attack|case|chaos")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// event is a line of go test -json; see go doc test2json.
type event struct{ Action, Package, Test, Key, Value, Output string }

// held is what is to become of a test of a kind.
var held = map[string]string{"attack": "refused", "case": "right", "chaos": "converged"}

type report struct {
	kind    string
	prefix  string // of the tests of this kind
	rows    [][3]string
	outputs map[string][]string // of a test
	failed  []string            // tests
	ended   int                 // packages
}

func run(kind string, r io.Reader, w io.Writer) error {
	rep := report{kind: kind, prefix: "Test" + strings.ToUpper(kind[:1]) + kind[1:], outputs: map[string][]string{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("reading go test's output: %w: %s", err, lines.Text())
		}
		rep.add(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading go test's output: %w", err)
	}
	return rep.print(w)
}

func (r *report) add(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "attr":
		if fields := strings.Split(e.Value, "\t"); e.Key == r.kind && len(fields) == 3 {
			r.rows = append(r.rows, [3]string(fields))
		}
	case "output", "build-output":
		r.outputs[name] = append(r.outputs[name], e.Output)
	case "pass", "fail", "skip", "build-fail":
		r.end(e, name)
	}
}

// end takes down how a test, or a package, ended. Of tests with subtests only these
// count. TestAttacks and TestCases have their rows in attributes.
func (r *report) end(e event, name string) {
	if e.Test == "" {
		r.ended++
	}
	got := map[string]string{"pass": held[r.kind], "fail": "FAILED", "skip": "not tried"}[e.Action]
	about, named := strings.CutPrefix(e.Test, r.prefix)
	parent := slices.ContainsFunc(r.rows, func(row [3]string) bool { return strings.HasPrefix(row[0], spoken(about)+": ") })
	if named && begins.MatchString(about) && !parent {
		r.rows = append(r.rows, [3]string{spoken(about), held[r.kind], got})
	}
	if e.Action == "fail" || e.Action == "build-fail" {
		r.failed = append(r.failed, name)
	}
}

// begins matches what stands behind the prefix in the name of a test of its kind.
var begins = regexp.MustCompile(`^[A-Z_]`)

// spoken makes words of a test's name.
func spoken(test string) string {
	return humps.ReplaceAllString(strings.NewReplacer("/", ": ", "_", " ").Replace(test), "$1 $2")
}

var humps = regexp.MustCompile(`([a-z])([A-Z])`)

func (r *report) print(w io.Writer) error {
	slices.SortFunc(r.rows, func(a, b [3]string) int { return strings.Compare(a[0], b[0]) })
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\texpected\tgot\n", r.kind)
	wrong := 0
	for _, row := range r.rows {
		mark := ""
		if row[1] != row[2] {
			mark, wrong = "  <-", wrong+1
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\n", row[0], row[1], row[2], mark)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing table: %w", err)
	}
	for _, name := range r.failed {
		fmt.Fprintf(w, "\n%s\n%s", name, strings.Join(r.outputs[name], ""))
	}
	fmt.Fprintf(w, "\n%d of %s, %d not as expected\n", len(r.rows), r.kind, wrong)
	if len(r.failed) > 0 || wrong > 0 || len(r.rows) == 0 || r.ended == 0 {
		return fmt.Errorf("one %s or more did not end as expected, or a test failed", r.kind)
	}
	return nil
}
