package diff

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// WriteText writes a report for people: the verdicts, what differs, the gravest
// first and at most limit lines of it for each layer, and what to do about it.
func (r Report) WriteText(w io.Writer, limit int) error {
	var b strings.Builder
	r.Config.write(&b, "config")
	r.Manifest.write(&b, "manifest")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return r.WriteDetails(w, limit)
}

// WriteDetails writes the text without the verdicts.
func (r Report) WriteDetails(w io.Writer, limit int) error {
	var b strings.Builder
	writeFields(&b, "setting", r.Settings, limit)
	writeFields(&b, "annotation", r.Annotations, limit)
	for _, l := range r.Layers {
		l.write(&b, limit)
	}
	cure := ""
	for _, c := range r.Causes {
		example := ""
		if c.Count > 0 {
			example = fmt.Sprintf(" (%d, such as %s)", c.Count, printable.Text(c.Example))
		}
		fmt.Fprintf(&b, "cause: %s%s\n", printable.Text(c.Name), example)
		if c.Cure != cure { // several causes in a row can have one
			fmt.Fprintf(&b, "  cure: %s\n", c.Cure)
		}
		cure = c.Cure
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Part) write(b *strings.Builder, name string) {
	digests := short(p.A.String())
	if p.A != p.B {
		digests += " -> " + short(p.B.String())
	}
	fmt.Fprintf(b, "%-9s %-17s %s\n", name, p.Verdict, digests)
}

// maxValue bounds a value in the text: the instruction of a RUN can be a page.
const maxValue = 100

func writeFields(b *strings.Builder, what string, fields []Field, limit int) {
	for i, f := range fields {
		if i == limit {
			fmt.Fprintf(b, "and %d %ss more\n", len(fields)-limit, what)
			return
		}
		fmt.Fprintf(b, "%s %s\n", what, f)
	}
}

func (l Layer) write(b *strings.Builder, limit int) {
	where := ""
	switch {
	case l.A == "":
		where = ", in the second image only"
	case l.B == "":
		where = ", in the first image only"
	case l.Base:
		where = ", of the base image"
	}
	fmt.Fprintf(b, "layer %d%s: %s\n", l.Index, where, excerpt(cmp.Or(l.CreatedBy, "unknown instruction")))
	rest := maps.Clone(l.Folded)
	if rest == nil {
		rest = map[Kind]int{}
	}
	for i, c := range l.Changes {
		if i >= limit {
			rest[c.Kind]++
			continue
		}
		fmt.Fprintf(b, "  %s\n", c)
	}
	if len(rest) > 0 {
		fmt.Fprintf(b, "  and more: %s\n", counts(rest))
	}
}

// String returns a line for people.
func (c Change) String() string {
	text := fmt.Sprintf("%s: %s: %s -> %s", c.Path, c.Kind, excerpt(cmp.Or(c.A, absent)), excerpt(cmp.Or(c.B, absent)))
	if c.Kind == Package {
		text = fmt.Sprintf("package %s: %s -> %s", c.Path, cmp.Or(c.A, absent), cmp.Or(c.B, absent))
	}
	return printable.Text(text) + random(c.Random)
}

func counts(folded map[Kind]int) string {
	var parts []string
	for _, kind := range kinds() {
		if n := folded[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(parts, ", ")
}

func random(is bool) string {
	if is {
		return " (" + string(Random) + ")"
	}
	return ""
}

// short shortens a digest.
func short(digest string) string {
	const keep = len("sha256:") + 12
	if len(digest) > keep {
		return digest[:keep] + "…"
	}
	return digest
}

// excerpt shortens a value and keeps it on one line.
func excerpt(s string) string {
	s = printable.Text(strings.Join(strings.Fields(s), " "))
	if runes := []rune(s); len(runes) > maxValue {
		return string(runes[:maxValue]) + "…"
	}
	return s
}

// Worst returns the lines of the gravest differences, at most n.
func (r Report) Worst(n int) []string {
	lines := fixedLines(r.Settings)
	for _, l := range r.Layers {
		for _, c := range l.Changes {
			if !c.Random {
				lines = append(lines, c.String())
			}
		}
	}
	lines = append(lines, fixedLines(r.Annotations)...)
	return lines[:min(n, len(lines))]
}

func fixedLines(fields []Field) []string {
	var lines []string
	for _, f := range fields {
		if !f.Random {
			lines = append(lines, f.String())
		}
	}
	return lines
}

// String returns a line for people.
func (f Field) String() string {
	return printable.Text(fmt.Sprintf("%s: %s -> %s%s", f.Name, excerpt(cmp.Or(f.A, absent)), excerpt(cmp.Or(f.B, absent)), random(f.Random)))
}
