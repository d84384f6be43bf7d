// Command scone is the stand-in for SCONE's toolchain: scone, scone-signer and
// the starter in one program. See package toolchain.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mrelease/mrelease/sandbox/toolchain"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := toolchain.Run(ctx, toolchain.World{
		Args:     os.Args,
		Environ:  os.Environ(),
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Self:     "/proc/self/exe",
		Programs: toolchain.Programs,
		Exec:     syscall.Exec,
	})
	stop()
	os.Exit(code)
}
