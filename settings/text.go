package settings

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/mrelease/mrelease/printable"
)

// What a configuration's texts may be. They are shown, written into records and
// onto chains, and handed to CI systems: none can hold more than one line, or what
// cannot be seen, but for the value of a build argument, which only the build sees.
const (
	maxText = 4096
	maxArg  = 32 << 10
	// MaxName is the most letters that an app's name has.
	MaxName = 128
)

// argKeys begin the keys of build arguments.
const argKeys = "build.args."

// checkText says why a text can be no value of a key.
func checkText(key, text string) error {
	if strings.HasPrefix(key, argKeys) {
		return checkArg(text)
	}
	if len(text) > maxText {
		return fmt.Errorf("is %d bytes long, more than %d", len(text), maxText)
	}
	return printable.CheckLine(text)
}

func checkArg(text string) error {
	switch {
	case len(text) > maxArg:
		return fmt.Errorf("is %d bytes long, more than %d", len(text), maxArg)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fmt.Errorf("is no text in UTF-8")
	}
	return nil
}

// entryName matches the names that can be chosen: of chains, build arguments, secrets
// and contexts. Those of contexts and bases may be references of images.
const entryName = `^[A-Za-z0-9_][A-Za-z0-9_.:/@+-]{0,254}$`

func checkEntryName(name string) error {
	if !regexp.MustCompile(entryName).MatchString(name) {
		return fmt.Errorf("want a name of at most 255 letters, digits and _ . : / @ + -")
	}
	return nil
}

// Name is the name of an app, which others read and look for.
type Name string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Name) UnmarshalText(text []byte) error {
	if letters := utf8.RuneCount(text); letters > MaxName {
		return fmt.Errorf("has %d letters, more than %d", letters, MaxName)
	}
	if err := printable.CheckName(string(text)); err != nil {
		return err
	}
	*n = Name(text)
	return nil
}
