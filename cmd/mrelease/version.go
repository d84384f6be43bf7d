package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is the answer of mrelease version --json.
type versionInfo struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	BuildKit string `json:"buildkit"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	v := readVersion()
	if a.json {
		return printJSON(a.stdout, v)
	}
	_, err := fmt.Fprintln(a.stdout, v.Version)
	return err
}

// released is set by the linker in the programs of a release ("make dist"), which know
// no commit: that of the release names their checksums.
var released string

// readVersion asks the binary itself: the module's version when it was
// installed by version, else the commit that it was built from.
func readVersion() versionInfo {
	v := versionInfo{Schema: "mrelease.version/v1", Version: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = cmp.Or(released, info.Main.Version)
	for _, m := range info.Deps {
		if m.Path == "github.com/moby/buildkit" {
			v.BuildKit = m.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
