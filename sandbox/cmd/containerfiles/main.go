// Command containerfiles makes the context that mrelease's own image is built from:
//
//	containerfiles -arch amd64 -pins container/packages.amd64 -out build/container/amd64/files.tar
//
// It takes a few files of some Debian packages, which apt downloads from the mirrors of
// this machine and checks, and adds the few that a container has to have. Which
// versions of the packages are taken, and which bytes, stands in a file; -update writes
// it anew. With -any a package that the mirrors no longer have is taken in today's
// version, and that is said: the image is then another one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := collector{}
	var out string
	flag.StringVar(&c.arch, "arch", "amd64", "Debian's name of the architecture")
	flag.StringVar(&c.pins, "pins", "", "file with the packages' versions and digests")
	flag.StringVar(&out, "out", "", "tar file to write")
	flag.BoolVar(&c.update, "update", false, "take today's versions, and write them to the file")
	flag.BoolVar(&c.any, "any", false, "take today's version of a package that is gone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.write(ctx, out)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "containerfiles:", err)
		os.Exit(1)
	}
}
