package settings

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"github.com/mrelease/mrelease/bounds"
)

// checkDepth refuses a YAML text that is nested too deeply, before it is parsed: the
// parser takes memory by the square of the depth, 20 GB for 200 KB of brackets. The
// lexer takes it by the size. Its error is a [*yaml.SyntaxError] with the place.
func checkDepth(text string) error {
	var d depth
	for _, t := range lexer.Tokenize(text) {
		if d.add(t) > bounds.ConfigDepth {
			return &yaml.SyntaxError{Message: fmt.Sprintf("lists and mappings are nested deeper than %d levels", bounds.ConfigDepth), Token: t}
		}
	}
	return nil
}

// depth counts how deep a token is at least. What is nested on one line needs a
// bracket or one of YAML's prefixes for each level; else it needs more lines, each
// further to the right.
type depth struct {
	brackets int
	prefixes int   // without anything between them
	columns  []int // at which the lines begin that the present one is below
	line     int
}

func (d *depth) add(t *token.Token) int {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.brackets++
	case token.SequenceEndType, token.MappingEndType:
		d.brackets--
	}
	switch t.Type {
	case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
		d.prefixes++
	default:
		d.prefixes = 0
	}
	d.begin(t)
	return d.brackets + d.prefixes + len(d.columns)
}

// begin notes a line's first token.
func (d *depth) begin(t *token.Token) {
	if t.Position == nil || t.Position.Line == d.line || d.brackets > 0 {
		return
	}
	d.line = t.Position.Line
	for len(d.columns) > 0 && d.columns[len(d.columns)-1] >= t.Position.Column {
		d.columns = d.columns[:len(d.columns)-1]
	}
	d.columns = append(d.columns, t.Position.Column)
}
