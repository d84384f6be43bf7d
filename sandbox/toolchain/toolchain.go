package toolchain

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	randv2 "math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/sandbox/toolchain/cli"
)

// World is what the program touches beside files.
type World struct {
	Args     []string // the name it is called with, then the arguments
	Environ  []string
	Stdout   io.Writer
	Stderr   io.Writer
	Self     string                                             // file of this program
	Programs string                                             // folder of the real interpreters, by the starter's name
	Exec     func(program string, args, environ []string) error // replaces this program
}

// Programs is the folder in an image where the starter finds what it starts.
const Programs = "/opt/scone/standin/bin"

// Run runs the program and returns its exit code.
func Run(ctx context.Context, w World) int {
	name := filepath.Base(w.Args[0])
	var err error
	switch fault := w.getenv("SCONE_STANDIN_FAULT"); {
	case !isFault(fault):
		err = cli.Errorf("unknown SCONE_STANDIN_FAULT %q, want one of %s", fault, strings.Join(Faults(), ", "))
	case name == "scone":
		err = w.scone()
	case name == "scone-signer":
		err = w.sconeSigner()
	default:
		err = w.start(ctx, name)
	}
	return w.report(err)
}

// exitError ends the program with a code and no further words.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error as SCONE's command line does, and returns the exit
// code.
func (w World) report(err error) int {
	var exit exitError
	var usage *cli.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(w.Stderr, "error: %s\n", usage.Problem)
		if usage.Usage != "" {
			fmt.Fprintf(w.Stderr, "\nUSAGE:\n    %s\n\nFor more information try --help\n", usage.Usage)
		}
		return 2
	}
	fmt.Fprintf(w.Stderr, "error: %v\n", err)
	return 1
}

// getenv returns a variable's value; as in a shell, the last one counts.
func (w World) getenv(name string) string {
	value := ""
	for _, v := range w.Environ {
		if v, ok := strings.CutPrefix(v, name+"="); ok {
			value = v
		}
	}
	return value
}

// random returns the source of keys and nonces.
func (w World) random() io.Reader {
	seed := w.getenv("SCONE_STANDIN_SEED")
	if seed == "" {
		return rand.Reader
	}
	return randv2.NewChaCha8(sha256.Sum256([]byte(seed + "\x00" + strings.Join(w.Args[1:], "\x00"))))
}
