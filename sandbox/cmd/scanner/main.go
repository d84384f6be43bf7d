// Command scanner is the program of the stand-in scanner's images: see package scanner.
package main

import (
	"fmt"
	"os"

	"github.com/mrelease/mrelease/sandbox/scanner"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "scanner: want one argument, what to do")
		os.Exit(2)
	}
	if err := scanner.Scan(os.Args[1], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "scanner:", err)
		os.Exit(1)
	}
}
