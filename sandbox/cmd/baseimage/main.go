// Command baseimage makes the base image of the examples: a stand-in for the
// images that SCONE's vendor curates, as an OCI layout.
//
//	baseimage --out build/base
//
// Its first layer is a small root file system with Python, made by mmdebstrap
// from the Debian release and mirror that this machine's apt uses. Its second
// layer is the stand-in toolchain, with the starter in the place of python3. The
// same packages and toolchain make the same bytes. An image that is there is
// kept when it was made from the same inputs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "baseimage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("baseimage", flag.ExitOnError)
	out := flags.String("out", "build/base", "folder of the OCI layout")
	toolchain := flags.String("toolchain", "", "the scone binary (default: scone beside this program)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *toolchain == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		*toolchain = filepath.Join(filepath.Dir(self), "scone")
	}
	return build(ctx, *out, *toolchain)
}

// say reports progress.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "base image: "+format+"\n", args...) }
