package ci

import (
	"regexp"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// Code writes a value as code in a cell of a table in markdown, where it is nothing
// else: no other cell, no end of the code, no markup.
func Code(value string) string {
	value = strings.ReplaceAll(printable.Text(value), "|", `\|`)
	fence := "`"
	for strings.Contains(value, fence) {
		fence += "`"
	}
	if strings.HasPrefix(value, "`") || strings.HasSuffix(value, "`") {
		value = " " + value + " " // markdown takes these away
	}
	return fence + value + fence
}

// Word quotes a text that is no plain word, for a command that users copy: a file's name
// can hold another command.
func Word(text string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
