package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// known is how much of a text must be that of licences, in percent.
const known = 70

// text is a licence or a notice, and who has it.
type text struct {
	content string
	of      []string // module and file
}

// render writes the list of modules with their licences, then each text once.
func render(modules []module) ([]byte, error) {
	var out bytes.Buffer
	var texts []*text
	out.WriteString("mrelease contains the software below, under the licences of its authors.\nMade by make notices.\n\n")
	for _, m := range modules {
		licences, err := m.licences(&texts)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(&out, strings.TrimSpace(m.path+" "+m.version)+": "+strings.Join(licences, ", "))
	}
	for _, t := range texts {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(t.of, "\n"), strings.Repeat("=", 80), t.content)
	}
	return out.Bytes(), nil
}

// licences returns the names of a module's licences, as SPDX has them, and adds their
// texts to all that there are.
func (m module) licences(texts *[]*text) ([]string, error) {
	files, err := m.files()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Join(m.dir, file))
		if err != nil {
			return nil, fmt.Errorf("reading licence: %w", err)
		}
		found, err := name(file, raw)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.path, m.version, err)
		}
		names = append(names, found...)
		add(texts, m.path+" "+file, tidy(string(raw)))
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return nil, fmt.Errorf("%s %s has no licence in %s", m.path, m.version, m.dir)
	}
	return names, nil
}

// supplement matches files that are passed on with a licence and are none.
var supplement = regexp.MustCompile(`(?i)^(notice|patents|authors|copyright)`)

// name returns which licences a file holds.
func name(file string, raw []byte) ([]string, error) {
	coverage := licensecheck.Scan(raw)
	var names []string
	for _, match := range coverage.Match {
		names = append(names, match.ID)
	}
	if supplement.MatchString(filepath.Base(file)) {
		return names, nil
	}
	if len(names) == 0 || coverage.Percent < known {
		return nil, fmt.Errorf("%s holds a licence that is not known: %.0f %% of it is that of %q", file, coverage.Percent, names)
	}
	return names, nil
}

func add(texts *[]*text, of, content string) {
	for _, t := range *texts {
		if t.content == content {
			t.of = append(t.of, of)
			return
		}
	}
	*texts = append(*texts, &text{content, []string{of}})
}

// tidy drops what differs between copies of a text and does not count.
func tidy(content string) string {
	lines := strings.Split(strings.ReplaceAll(content, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
