package printable

import (
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CheckLine says why a text is none of one line that can be seen: what somebody else
// is to read and copy, and write again.
func CheckLine(s string) error {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == '\t' || !isShown(r) || r == utf8.RuneError && size == 1 {
			return fmt.Errorf("holds %s, which cannot be seen", escaped(s[i:i+size]))
		}
		i += size
	}
	return nil
}

// CheckName says why a text is no name: CheckLine, and of two ways to write a letter
// with its accents it has the shorter (NFC), so that equal names are equal bytes; and
// no space stands at its ends.
func CheckName(s string) error {
	if err := CheckLine(s); err != nil {
		return err
	}
	if s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return errors.New("begins or ends with a space")
	}
	if !norm.NFC.IsNormalString(s) {
		return fmt.Errorf("is not in normal form (NFC), in which it is %+q", norm.NFC.String(s))
	}
	return nil
}

// Scripts returns the scripts that a name mixes although no language does: a letter of
// one looks like another's, so it may be read as another name. It is nil for a name
// of one script, with or without Latin for those that Unicode's "highly restrictive"
// level (UTS #39, section 5.2) allows it.
func Scripts(name string) []string {
	var found []string
	for _, r := range name {
		if script := scriptOf(r); script != "" && !slices.Contains(found, script) {
			found = append(found, script)
		}
	}
	slices.Sort(found)
	for _, together := range [][]string{
		{"Latin", "Han", "Hiragana", "Katakana"}, {"Latin", "Han", "Bopomofo"}, {"Latin", "Han", "Hangul"},
	} {
		if !slices.ContainsFunc(found, func(s string) bool { return !slices.Contains(together, s) }) {
			return nil
		}
	}
	if len(found) < 2 {
		return nil
	}
	return found
}

// scriptOf returns a letter's script; "" for what all scripts use.
func scriptOf(r rune) string {
	if unicode.In(r, unicode.Common, unicode.Inherited) {
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}
