package toolchain

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/mrelease/mrelease/sandbox/toolchain/binaryfs"
	"github.com/mrelease/mrelease/sandbox/toolchain/cli"
)

// binaryFSCommand is "scone binary-fs", whose older name is binaryfs. Its -h is
// no request for help.
func (w World) binaryFSCommand() cli.Command {
	return cli.Command{
		Usage: "scone binary-fs [OPTIONS] <ROOT> <OUTPUT_DIR>",
		Options: []cli.Option{
			{Names: []string{"--host-path", "-h"}, Value: true, Many: true},
			{Names: []string{"--include", "-i"}, Value: true, Many: true},
			{Names: []string{"--preserve-symbolic-links", "-p"}},
			{Names: []string{"--verbose", "-v"}, Many: true},
		},
		Least: 2, Most: 2, Run: w.collect,
	}
}

func (w World) collect(a cli.Arguments) error {
	files, err := binaryfs.Collect(binaryfs.Options{
		Root: a.At(0), Output: a.At(1), Include: a.Options["--include"], HostPaths: a.Options["--host-path"],
		PreserveLinks: a.Has("--preserve-symbolic-links"),
	})
	if err != nil {
		return err
	}
	if a.Has("--verbose") {
		fmt.Fprintf(w.Stderr, "files collected: %d\n", files)
	}
	source, template := filepath.Join(a.At(1), binaryfs.AssemblyName), filepath.Join(a.At(1), binaryfs.TemplateName)
	_, err = fmt.Fprintf(w.Stdout, "scone gcc %s %s -shared -o libbinary-fs.so\n", source, template)
	return err
}

// gccCommand is "scone gcc" for the one thing that the stand-in links. Objects
// and libraries beside the assembler file are taken and not linked.
func gccCommand() cli.Command {
	return cli.Command{
		Usage:   "scone gcc <ASSEMBLER_FILE> [LIBRARY]... -shared -o <OUTPUT>",
		Options: []cli.Option{{Names: []string{"-o"}, Value: true}, {Names: []string{"-shared"}}, {Names: []string{"-fPIC"}}},
		Least:   1, Most: 8, Run: link,
	}
}

func link(a cli.Arguments) error {
	sources := slices.DeleteFunc(slices.Clone(a.Positional), func(name string) bool { return filepath.Ext(name) != ".s" })
	if len(sources) != 1 || !a.Has("-shared") || !a.Has("-o") {
		return cli.Errorf("The stand-in links one binary file system into a shared library, and nothing else")
	}
	return binaryfs.Link(sources[0], a.Get("-o"))
}
