package toolchain

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/sandbox/toolchain/cli"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
	"github.com/mrelease/mrelease/sandbox/toolchain/signature"
)

// sconeSigner is the program of that name.
func (w World) sconeSigner() error {
	args, err := cli.Expand(w.Args[1:])
	if err != nil {
		return err
	}
	return w.signer(args)
}

// signer is the command line of scone-signer, and of "scone signer".
func (w World) signer(args []string) error {
	const usage = "scone-signer <SUBCOMMAND>"
	commands := map[string]cli.Command{
		"info": {Usage: "scone-signer info [OPTIONS] <FILE>", Options: []cli.Option{{Names: []string{"--yaml"}}}, Least: 1, Most: 1, Run: w.info},
		"sign": w.signCommand(),
	}
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		_, err := fmt.Fprintf(w.Stdout, "Sign executables (stand-in)\n\nUSAGE:\n    %s\n\nSUBCOMMANDS:\n    info\n    sign\n", usage)
		return err
	}
	c, ok := commands[args[0]]
	if !ok {
		return unknown(args[0], usage)
	}
	return c.Execute(w.Stdout, args[1:])
}

func (w World) info(a cli.Arguments) error {
	s, err := w.signatureOf(a.At(0))
	if err != nil {
		return err
	}
	if a.Has("--yaml") {
		return s.PrintYAML(w.Stdout)
	}
	return s.Print(w.Stdout)
}

// signatureOf returns a program's signature. SCONE's compiler signs what it
// makes with the built-in key; so an unsigned program is signed here, with the
// settings of the environment.
func (w World) signatureOf(file string) (*signature.Signature, error) {
	signed, _, err := signature.Read(file)
	if signed != nil || err != nil {
		return signed, err
	}
	settings, err := enclave.ParseSettings(enclave.Defaults(), w.getenv)
	if err != nil {
		return nil, err
	}
	m, err := enclave.Measure(w.programBehind(file), settings)
	if err != nil {
		return nil, err
	}
	return signature.Sign(m, settings, signature.Options{XFRM: signature.DefaultXFRM})
}

// programBehind returns the real program of a file that is the starter, and the
// file itself of others.
func (w World) programBehind(file string) string {
	program := filepath.Join(w.Programs, filepath.Base(file))
	if _, err := os.Stat(program); err != nil {
		return file
	}
	return program
}
