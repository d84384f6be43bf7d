package page

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/mrelease/mrelease/printable"
)

// Code writes a value as code in a cell of a table in markdown, where it is nothing
// else: no other cell, no end of the code, no markup. Nothing stays nothing.
func Code(value string) string {
	if value == "" {
		return ""
	}
	value = strings.ReplaceAll(printable.Text(value), "|", `\|`)
	fence := "`"
	for strings.Contains(value, fence) {
		fence += "`"
	}
	if strings.HasPrefix(value, "`") || strings.HasSuffix(value, "`") || strings.TrimSpace(value) == "" {
		value = " " + value + " " // markdown takes these away
	}
	return fence + value + fence
}

// Fence writes lines as a block of code, whose end they cannot hold.
func Fence(lines string) string {
	lines = printable.Lines(strings.TrimRight(lines, "\n"))
	fence := "```"
	for strings.Contains(lines, fence) {
		fence += "`"
	}
	return fence + "\n" + lines + "\n" + fence + "\n"
}

// Word quotes a text that is no plain word, for a command that users copy: a file's name
// can hold another command.
func Word(text string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

const (
	// maxSummary keeps a summary below GitHub's limit of 1 MiB, beyond which it is
	// dropped whole, with room for what a runner adds.
	maxSummary = 1<<20 - 8<<10
	// maxCell is how much of a value a table shows, in bytes.
	maxCell = 1 << 10
	// maxBlock is how much of a value a block shows, in bytes.
	maxBlock = 16 << 10
)

// shortened leaves out the end of a long text, and says how much that is.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… and %s more", text[:end], printable.Count(len(text)-end, "byte"))
}

// markdown is a summary that is being written. A part that would not fit is left out
// whole, so that what is there stays well-formed.
type markdown struct {
	text strings.Builder
	left int // parts that were left out
}

func (m *markdown) add(part string) {
	if m.text.Len()+len(part) > maxSummary {
		m.left++
		return
	}
	m.text.WriteString(part)
}

// table adds a table of one value a row; rows without a value are left out. The values
// are markdown.
func (m *markdown) table(rows [][2]string) {
	var b strings.Builder
	b.WriteString("\n| Part | Value |\n|---|---|\n")
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
		}
	}
	m.add(b.String())
}

// fold adds a part that is shown when its title, words of our own, is clicked.
func (m *markdown) fold(title, body string) {
	m.add(fmt.Sprintf("\n<details><summary>%s</summary>\n\n%s\n</details>\n", title, body))
}

// steps adds the table of what was done.
func (m *markdown) steps(steps []Step) {
	if len(steps) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("\n| Step | Result | Time | Evidence |\n|---|---|---:|---|\n")
	for _, s := range steps {
		fmt.Fprintf(&b, "| %s | %s | %.2f&nbsp;s | %s |\n", Code(s.Name), s.mark(), s.Took.Seconds(), cell(s.evidence()))
	}
	m.add(b.String())
}

func cell(value string) string { return Code(shortened(value, maxCell)) }

func (m *markdown) String() string {
	if m.left > 0 {
		fmt.Fprintf(&m.text, "\n%s left out: a summary has at most 1 MiB; the log has all.\n", printable.Count(m.left, "part"))
	}
	return m.text.String()
}
