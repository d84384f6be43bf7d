// Notices writes the licences and notices of all that is linked into a program, from
// what go list says of its packages:
//
//	go list -deps -json=ImportPath,Dir,Module,Standard PROGRAM | notices [-check] FILE
//
// Of each package it takes the files of licences in its folder and in those above it,
// up to its module's. A module without a licence is an error, as is a licence that
// nobody knows. With -check nothing is written: it is an error when FILE is another.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail when FILE would change")
	flag.Parse()
	if err := run(os.Stdin, flag.Args(), *check); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(packages io.Reader, args []string, check bool) error {
	if len(args) != 1 {
		return errors.New("usage: notices [-check] FILE")
	}
	modules, err := read(packages)
	if err != nil {
		return err
	}
	text, err := render(modules)
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(args[0], text, 0o644)
	}
	old, err := os.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("reading notices: %w", err)
	}
	if !bytes.Equal(old, text) {
		return fmt.Errorf("%s is not of what is linked; write it anew: make notices", args[0])
	}
	return nil
}
