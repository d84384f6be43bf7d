package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A command has the flags that do something there. Whoever adds one to a group of flags
// finds here which commands get it.
func TestFlagsOfCommands(t *testing.T) {
	source := "config context only source-date-epoch version"
	build := source + " builder no-cache progress state"
	want := map[string]string{
		"mrelease":  "version",
		"init":      "",
		"check":     "config context only image chain schema",
		"doctor":    source + " builder state image chain commit",                                              // it looks for the builder, and starts none
		"plan":      source + " image chain commit allow-dirty all foreign canary canary-again deposit output", // it builds nothing
		"apply":     build + " image chain commit allow-dirty all foreign canary canary-again deposit dry-run plan-hash",
		"release":   build + " image chain commit allow-dirty all foreign canary canary-again deposit dry-run",
		"build":     build + " output",
		"measure":   build + " all hash-limit expect",
		"reproduce": source + " builder progress state against lines", // it never uses a cache
		"accept":    build,
		"explain":   "config lines",
		"verify":    "chain config builder state key identity issuer trusted-root trust base no-run save bundle block owner layers policy",
		"ci":        "chain config mode",
		"request":   "",
		"order":     "",
		"rollback":  "chain config only dry-run record foreign",
		"revoke":    "chain config only dry-run record why",
		"version":   "",
		"help":      "",
	}
	a := newApp(func(string) string { return "" }, &bytes.Buffer{}, &bytes.Buffer{})
	root := a.command()
	for _, c := range append(root.Commands(), root) {
		if c.Name() == "completion" {
			continue
		}
		expected, known := want[c.Name()]
		if !known {
			t.Errorf("the command %s is not listed", c.Name())
		}
		var got []string
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
		names := strings.Fields(expected)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%s has the flags %q, want %q", c.Name(), got, names)
		}
	}
}

// Commands that a script runs for their verdict say with which codes they end.
func TestHelpHasExitCodes(t *testing.T) {
	for _, command := range []string{"verify", "measure", "reproduce"} {
		var help bytes.Buffer
		if code := run(t.Context(), []string{command, "--help"}, func(string) string { return "" }, &help, io.Discard); code != 0 || !strings.Contains(help.String(), "Exit codes: 0 ") {
			t.Errorf("%s: %d, %s", command, code, help.String())
		}
	}
}
