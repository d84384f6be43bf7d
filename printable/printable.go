// Package printable is what all text from outside goes through before it is shown:
// fields of records, names of files, build output, what services and registries say,
// keys and values of configurations. On a terminal such text could move the cursor,
// paint a verdict, or run right to left; at the start of a line of a CI system's log
// it could be a command. So whatever cannot be seen is shown by its number, as Go
// writes it in a quoted string, and what would be a command is no command any more.
//
// Data stays data: JSON has the same strings, written with escapes.
package printable

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns a text as one line that can be shown: characters that control a
// terminal, change the direction or the form of others or cannot be seen, line ends
// among them, are written as escapes (\x1b, \n, \u202e), and so are bytes that are
// no UTF-8. A tab stays. Backslashes are not doubled: paths and code stay readable.
// Text of a result is the result.
func Text(s string) string {
	var b strings.Builder
	done := 0 // bytes of s that are written
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !isShown(r) || r == utf8.RuneError && size == 1 {
			b.WriteString(s[done:i])
			b.WriteString(escaped(s[i : i+size]))
			done = i + size
		}
		i += size
	}
	b.WriteString(s[done:])
	return unmarked(b.String(), `#\#$1`)
}

// Lines is Text for a text of several lines, each of which stays one. No line is a
// command of a CI system.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = guarded(Text(strings.TrimSuffix(line, "\r")))
	}
	return strings.Join(lines, "\n")
}

// isShown reports whether a character can be seen and stands for itself.
func isShown(r rune) bool {
	if r == '\t' {
		return true
	}
	const blank = '\u2800' // of the Braille patterns
	return unicode.IsPrint(r) && r != blank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// escaped writes one character, or a byte that is none, as in a string of Go.
func escaped(c string) string {
	quoted := strconv.QuoteToASCII(c)
	return quoted[1 : len(quoted)-1]
}

// unmarked replaces what begins a command anywhere in a line: for the runners of GitHub
// and Azure, which look for ##[ and ##vso[, and for TeamCity, ##teamcity[.
func unmarked(s, by string) string {
	if !strings.Contains(s, "##") {
		return s
	}
	return regexp.MustCompile(`##([A-Za-z]*\[)`).ReplaceAllString(s, by)
}

// guarded makes a line no command: those of GitHub begin with two colons, and spaces
// before them do not count.
func guarded(line string) string {
	rest := strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(rest, "::") {
		return line
	}
	return line[:len(line)-len(rest)] + `\` + rest
}

// JSON returns an encoded document with the same data in which no string holds a
// character that cannot be seen, nor what begins a command of a CI system.
func JSON(document []byte) []byte {
	var b []byte
	for _, r := range string(document) { // the encoder writes valid UTF-8
		if r == '\n' || isShown(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return []byte(unmarked(string(b), `#\u0023$1`))
}

// Count writes a number of things: 1 file, 2 files. The plural is the word with an s.
func Count[N int | int64 | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
