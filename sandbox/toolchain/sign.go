package toolchain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/sandbox/toolchain/cli"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
	"github.com/mrelease/mrelease/sandbox/toolchain/signature"
)

// setting is an option of sign with the variable that --env reads in its place.
type setting struct{ long, short, variable string }

func settings() []setting {
	return []setting{
		{"--heap", "-H", "SCONE_HEAP"}, {"--minheap", "-M", "SCONE_MIN_HEAP"}, {"--stack", "-S", "SCONE_STACK"},
		{"--tcs", "-t", "SCONE_TCS"}, {"--dlopen", "-d", "SCONE_ALLOW_DLOPEN"}, {"--mprotect", "-m", "SCONE_MPROTECT"},
		{"--fork", "-f", "SCONE_FORK"}, {"--syslibs", "", "SCONE_SYSLIBS"}, {"--extensions", "", "SCONE_EXTENSIONS_PATH"},
		{"--xfrm", "-x", "SCONE_XFRM"}, {"--miscselect", "", "SCONE_MISCSELECT"}, {"--isvprodid", "", "SCONE_ISVPRODID"},
		{"--isvsvn", "", "SCONE_ISVSVN"}, {"--key", "-k", "SCONE_KEY"},
	}
}

// signCommand is "scone-signer sign" (SCONE documentation, page CAS_cli).
func (w World) signCommand() cli.Command {
	options := []cli.Option{
		{Names: []string{"--env", "-e"}}, {Names: []string{"--production", "-p"}},
		{Names: []string{"--sconify"}}, {Names: []string{"--verbose", "-v"}},
	}
	for _, s := range settings() {
		names := []string{s.long}
		if s.short != "" {
			names = append(names, s.short)
		}
		options = append(options, cli.Option{Names: names, Value: true})
	}
	return cli.Command{Usage: "scone-signer sign [OPTIONS] <FILE>", Options: options, Least: 1, Most: 1, Run: w.sign}
}

// signerDefaults are the defaults of the signer, whose stack is larger than the
// runtime's.
func signerDefaults() enclave.Settings {
	s := enclave.Defaults()
	s.Stack = 2 << 20
	return s
}

// sign measures the program behind a starter and writes its signature into the
// starter.
func (w World) sign(a cli.Arguments) error {
	lookup := w.settingsOf(a)
	s, err := enclave.ParseSettings(signerDefaults(), lookup)
	if err != nil {
		return cli.Errorf("%v", err)
	}
	o, err := signOptions(lookup)
	if err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(a.At(0))
	if err != nil {
		return err
	}
	if a.Has("--sconify") {
		if err := w.sconify(a.At(0), file); err != nil {
			return err
		}
	}
	if w.programBehind(file) == file {
		return fmt.Errorf("%s is no SCONE program: sign it with --sconify", a.At(0))
	}
	signed, err := w.writeSignature(file, s, o)
	if err != nil || !a.Has("--verbose") {
		return err
	}
	return signed.Print(w.Stdout)
}

func (w World) writeSignature(file string, s enclave.Settings, o signature.Options) (*signature.Signature, error) {
	m, err := enclave.Measure(w.programBehind(file), s)
	if err != nil {
		return nil, err
	}
	signed, err := signature.Sign(m, s, o)
	if err != nil {
		return nil, err
	}
	_, starter, err := signature.Read(file)
	if err != nil {
		return nil, err
	}
	return signed, signed.Write(file, starter)
}

// settingsOf returns a lookup by variable: what the options say, then with --env
// what the environment says.
func (w World) settingsOf(a cli.Arguments) func(string) string {
	values := map[string]string{}
	for _, s := range settings() {
		values[s.variable] = a.Get(s.long)
	}
	if a.Has("--production") {
		values["SCONE_PRODUCTION"] = "1"
	}
	return func(variable string) string {
		if v := values[variable]; v != "" || !a.Has("--env") {
			return v
		}
		return w.getenv(variable)
	}
}

func signOptions(lookup func(string) string) (signature.Options, error) {
	var o signature.Options
	var errs []error
	number := func(variable string, bits int, fallback uint64) uint64 {
		v := lookup(variable)
		if v == "" {
			return fallback
		}
		n, err := strconv.ParseUint(v, 0, bits)
		if err != nil {
			errs = append(errs, cli.Errorf("Invalid value for %s: %s", variable, v))
		}
		return n
	}
	o.ProductID = uint16(number("SCONE_ISVPRODID", 16, 0))
	o.SecurityVersion = uint16(number("SCONE_ISVSVN", 16, 0))
	o.XFRM = number("SCONE_XFRM", 64, signature.DefaultXFRM)
	o.MiscSelect = uint32(number("SCONE_MISCSELECT", 32, 0))
	o.Production = slices.Contains([]string{"1", "yes", "true"}, strings.ToLower(lookup("SCONE_PRODUCTION")))
	if err := errors.Join(errs...); err != nil {
		return o, err
	}
	return o, loadKey(lookup("SCONE_KEY"), &o)
}

func loadKey(file string, o *signature.Options) error {
	if file == "" && o.Production {
		return cli.Errorf("production mode needs a key: --key <KEY>")
	}
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading key: %w", err)
	}
	if o.Key, err = sgx.LoadKey(text); err != nil {
		return fmt.Errorf("loading key %s: %w", file, err)
	}
	return nil
}

// sconify puts the starter in the place of a native program, which moves to
// where the starter looks for it: under the name of its file and, when that was
// reached by a link, under the link's.
func (w World) sconify(name, file string) error {
	program := filepath.Join(w.Programs, filepath.Base(file))
	if _, err := os.Stat(program); err == nil {
		return nil // it is one already
	}
	if err := os.MkdirAll(w.Programs, 0o755); err != nil {
		return err
	}
	if err := copyProgram(file, program); err != nil {
		return fmt.Errorf("moving %s: %w", file, err)
	}
	link := filepath.Join(w.Programs, filepath.Base(name))
	if err := os.Symlink(filepath.Base(file), link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return copyProgram(w.Self, file)
}

// copyProgram replaces the file to as a whole: other names of the old one keep
// it.
func copyProgram(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".new", content, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
