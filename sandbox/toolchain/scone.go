package toolchain

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/mrelease/mrelease/sandbox/toolchain/cli"
	"github.com/mrelease/mrelease/sandbox/toolchain/fspf"
)

// scone is the command line of that name.
func (w World) scone() (err error) {
	const usage = "scone [OPTIONS] <SUBCOMMAND>"
	args, err := cli.Expand(w.Args[1:])
	if err != nil {
		return err
	}
	global, args, err := cli.Leading(args, globalOptions())
	if err != nil {
		return err
	}
	if global.Has("--output") {
		f, err := os.Create(global.Get("--output"))
		if err != nil {
			return fmt.Errorf("redirecting output: %w", err)
		}
		w.Stdout = f
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	if global.Has("--help") || len(args) == 0 {
		_, err := fmt.Fprintf(w.Stdout, "A stand-in for SCONE's command line\n\nUSAGE:\n    %s\n", usage)
		return err
	}
	return w.subcommand(args[0], args[1:], usage)
}

// globalOptions stand before the command's name.
func globalOptions() []cli.Option {
	return []cli.Option{
		{Names: []string{"--output", "-o"}, Value: true},
		{Names: []string{"--config", "-c"}, Value: true},
		{Names: []string{"--help", "-h"}},
	}
}

func (w World) subcommand(name string, args []string, usage string) error {
	switch name {
	case "fspf":
		return w.fspf(args)
	case "signer":
		return w.signer(args)
	case "binary-fs", "binaryfs":
		return w.binaryFSCommand().Execute(w.Stdout, args)
	case "gcc":
		return gccCommand().Execute(w.Stdout, args)
	}
	return unknown(name, usage)
}

func unknown(subcommand, usage string) error {
	return &cli.UsageError{Problem: fmt.Sprintf("The subcommand '%s' wasn't recognized (this is a stand-in)", subcommand), Usage: usage}
}

func (w World) fspf(args []string) error {
	const usage = "scone fspf <SUBCOMMAND>"
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		_, err := fmt.Fprintf(w.Stdout, "Create and modify file system protection files (stand-in)\n\nUSAGE:\n    %s\n\nSUBCOMMANDS:\n    addf\n    addr\n    create\n    encrypt\n    show\n", usage)
		return err
	}
	c, ok := w.fspfCommands()[args[0]]
	if !ok {
		return unknown(args[0], usage)
	}
	return c.Execute(w.Stdout, args[1:])
}

// fspfCommands are the commands of "scone fspf" (SCONE documentation, page
// CAS_cli).
func (w World) fspfCommands() map[string]cli.Command {
	return map[string]cli.Command{
		"create": {Usage: "scone fspf create <FILE> [VERSION]", Least: 1, Most: 2, Run: w.create},
		"addr": {
			Usage: "scone fspf addr [OPTIONS] <--not-protected|--encrypted|--authenticated> <--kernel <SOURCE_DIR>|--ephemeral> <FILE> <EMBEDPOINT>",
			Options: []cli.Option{
				{Names: []string{"--not-protected", "-n"}},
				{Names: []string{"--authenticated", "-a"}},
				{Names: []string{"--encrypted", "-e"}},
				{Names: []string{"--kernel"}, Value: true},
				{Names: []string{"--ephemeral"}},
				{Names: []string{"--chunk-length", "-c"}, Value: true},
				{Names: []string{"--key-length", "-k"}, Value: true},
			},
			Least: 2, Most: 2, Run: w.addRegion,
		},
		"addf":    {Usage: "scone fspf addf <FILE> <EMBEDPOINT> <SOURCE_DIR> [OUTPUT_DIR]", Least: 3, Most: 4, Run: w.addFiles},
		"encrypt": {Usage: "scone fspf encrypt <FILE>", Least: 1, Most: 1, Run: w.encrypt},
		"show":    {Usage: "scone fspf show [OPTIONS] <FILE> [KEY]", Options: []cli.Option{{Names: []string{"--tag", "-t"}}}, Least: 1, Most: 2, Run: w.show},
	}
}

// latestVersion of the format, since SCONE's CLI 5.8.
const latestVersion = 3

func (w World) create(a cli.Arguments) error {
	p := fspf.Protection{Version: latestVersion}
	if v := a.At(1); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > latestVersion {
			return cli.Errorf("Invalid value for '<VERSION>': %s", v)
		}
		p.Version = n
	}
	tag, err := p.Write(a.At(0), fspf.Key{}, w.random())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.Stdout, "Created empty file system protection file in %s. AES-GCM tag: %s\n", a.At(0), tag)
	return err
}

func (w World) addRegion(a cli.Arguments) error {
	r, err := region(a)
	if err != nil {
		return cli.Errorf("%v", err)
	}
	tag, err := w.change(a.At(0), func(p *fspf.Protection) error { return p.AddRegion(r) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.Stdout, "Added region %s to file system protection file %s new AES-GCM tag: %s\n", a.At(1), a.At(0), tag)
	return err
}

// region reads the options of addr.
func region(a cli.Arguments) (fspf.Region, error) {
	r := fspf.Region{Path: a.At(1), Kernel: a.Get("--kernel")}
	classes := 0
	for _, c := range []fspf.Class{fspf.NotProtected, fspf.Authenticated, fspf.Encrypted} {
		if a.Has("--" + string(c)) {
			r.Class = c
			classes++
		}
	}
	if classes != 1 {
		return r, errors.New("exactly one of --not-protected, --encrypted and --authenticated is required")
	}
	if a.Has("--kernel") == a.Has("--ephemeral") {
		return r, errors.New("exactly one of --kernel <SOURCE_DIR> and --ephemeral is required")
	}
	for name, dst := range map[string]*int{"--chunk-length": &r.ChunkLength, "--key-length": &r.KeyLength} {
		v := a.Get(name)
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n <= 0 {
			return r, fmt.Errorf("invalid value for '%s': %s", name, v)
		}
		*dst = n
	}
	return r, nil
}

func (w World) addFiles(a cli.Arguments) error {
	tag, err := w.change(a.At(0), func(p *fspf.Protection) error {
		return p.AddFiles(a.At(1), a.At(2), a.At(3), w.random())
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.Stdout, "Added files to file system protection file %s new AES-GCM tag: %s\n", a.At(0), tag)
	return err
}

// change reads a protection file that is not encrypted, changes and writes it.
func (w World) change(name string, act func(*fspf.Protection) error) (fspf.Tag, error) {
	p, _, err := fspf.Read(name, fspf.Key{})
	if err != nil {
		return fspf.Tag{}, err
	}
	if err := act(&p); err != nil {
		return fspf.Tag{}, err
	}
	return p.Write(name, fspf.Key{}, w.random())
}

func (w World) encrypt(a cli.Arguments) error {
	p, _, err := fspf.Read(a.At(0), fspf.Key{})
	if err != nil {
		return err
	}
	if err := p.Check(); err != nil {
		return err
	}
	random := w.random()
	key, err := fspf.NewKey(random)
	if err != nil {
		return err
	}
	tag, err := p.Write(a.At(0), key, random)
	if err != nil {
		return err
	}
	printed := key.String()
	if w.getenv("SCONE_STANDIN_FAULT") == faultShortKey {
		printed = printed[1:]
	}
	_, err = fmt.Fprintf(w.Stdout, "Encrypted file system protection file %s AES-GCM tag: %s key: %s\n", a.At(0), tag, printed)
	return err
}

func (w World) show(a cli.Arguments) error {
	var key fspf.Key
	if v := a.At(1); v != "" {
		var err error
		if key, err = fspf.ParseKey(v); err != nil {
			return cli.Errorf("Invalid value for '<KEY>': %v", err)
		}
	}
	p, tag, err := fspf.Read(a.At(0), key)
	if err != nil {
		return err
	}
	if a.Has("--tag") {
		_, err := fmt.Fprintln(w.Stdout, tag)
		return err
	}
	_, err = fmt.Fprintf(w.Stdout, "file system protection file, version %d, AES-GCM tag: %s\n%s", p.Version, tag, p)
	return err
}
