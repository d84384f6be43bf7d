package toolchain

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
	"github.com/mrelease/mrelease/sandbox/toolchain/fspf"
	"github.com/mrelease/mrelease/sandbox/toolchain/signature"
)

// start is what the starter does: it measures the real program, or runs it.
func (w World) start(ctx context.Context, name string) error {
	signed, err := signature.Of(w.Self)
	if err != nil {
		return w.fatal("%v", err)
	}
	defaults := enclave.Defaults()
	if signed != nil {
		defaults = signed.Settings
	}
	settings, err := enclave.ParseSettings(defaults, w.getenv)
	if err != nil {
		return w.fatal("%v", err)
	}
	program, err := filepath.EvalSymlinks(filepath.Join(w.Programs, name))
	if err != nil {
		return w.fatal("finding the program behind %s: %v", name, err)
	}
	hash, edmm := w.getenv("SCONE_HASH") == "1", w.getenv("SCONE_EDMM_HASH") == "1"
	if hash || edmm {
		return w.printHash(ctx, program, settings, edmm)
	}
	if err := w.admit(program, settings, signed); err != nil {
		return w.fatal("%v", err)
	}
	return w.runProgram(program, settings)
}

// printHash prints the measurement alone on standard output.
func (w World) printHash(ctx context.Context, program string, s enclave.Settings, edmm bool) error {
	m, err := enclave.Measure(program, s)
	if err != nil {
		return w.fatal("%v", err)
	}
	w.warn(simulated)
	value := m.Static
	if edmm {
		value = m.EDMM
	}
	switch w.getenv("SCONE_STANDIN_FAULT") {
	case faultEmpty:
		return nil
	case faultNoise:
		fmt.Fprintf(w.Stdout, "[SCONE|WARN] %s\n", simulated)
	case faultTwoHashes:
		fmt.Fprintf(w.Stdout, "%s\n%s\n", m.Static, m.EDMM)
		return nil
	case faultExit141:
		return exitError(141)
	case faultHang:
		<-ctx.Done()
		return exitError(130)
	}
	_, err = fmt.Fprintf(w.Stdout, "%s\n", value)
	return err
}

// runProgram replaces the starter by the real program. Without SGX hardware and
// without SCONE, simulation is the only mode there is.
func (w World) runProgram(program string, s enclave.Settings) error {
	if strings.EqualFold(w.getenv("SCONE_MODE"), "hw") {
		return w.fatal("tools/libsgx/src/platform.c: No SGX driver found, won't be able to run in SGX HW mode")
	}
	if w.getenv("SCONE_VERSION") == "1" {
		m, err := enclave.Measure(program, s)
		if err != nil {
			return w.fatal("%v", err)
		}
		printVersion(w.Stderr, s, m)
	}
	w.warn(simulated)
	if err := w.Exec(program, w.Args, w.Environ); err != nil {
		return w.fatal("starting %s: %v", program, err)
	}
	return nil
}

// checkFiles checks the files of an image against its protection file, when the
// key to it is given; in production SCONE gets it from its attestation service.
func (w World) checkFiles() error {
	text := w.getenv("SCONE_FSPF_KEY")
	if text == "" {
		return nil
	}
	key, err := fspf.ParseKey(text)
	if err != nil {
		return fmt.Errorf("reading SCONE_FSPF_KEY: %w", err)
	}
	name := w.getenv("SCONE_FSPF")
	if name == "" {
		name = "/fspf.pb"
	}
	p, tag, err := fspf.Read(name, key)
	if err != nil {
		return err
	}
	if want := w.getenv("SCONE_FSPF_TAG"); want != "" && want != tag.String() {
		return fmt.Errorf("checking %s: its tag is %s, want %s", name, tag, want)
	}
	if slices.ContainsFunc(p.Regions, func(r fspf.Region) bool { return r.Class == fspf.Encrypted && len(r.Files) > 0 }) {
		return fmt.Errorf("checking %s: the stand-in cannot run a program on encrypted files", name)
	}
	return p.Verify()
}

// simulated is what the runtime warns of outside an enclave.
const simulated = `src/enclave/dispatch.c:203:print_version(): Application runs in SGX simulation mode.
        Its memory can be read by the untrusted system! This is not secure!
[SCONE|WARN] stand-in: this is not SCONE; nothing is protected, and measurements are synthetic.`

// warn prints a line of the runtime's log on standard error, unless SCONE_LOG
// asks for errors only.
func (w World) warn(text string) {
	if slices.Contains([]string{"ERROR", "FATAL"}, strings.ToUpper(w.getenv("SCONE_LOG"))) {
		return
	}
	fmt.Fprintf(w.Stderr, "[SCONE|WARN] %s\n", text)
}

// fatal prints a line of the runtime's log and ends the program.
func (w World) fatal(format string, args ...any) error {
	fmt.Fprintf(w.Stderr, "[SCONE|FATAL] stand-in: %s\n", fmt.Sprintf(format, args...))
	return exitError(1)
}

// printVersion prints what SCONE_VERSION=1 asks for, in the layout of SCONE 5
// (SCONE documentation, page MrEnclave).
func printVersion(out io.Writer, s enclave.Settings, m enclave.Measurement) {
	dlopen := []string{"no", "yes (protected)", "yes (unprotected)"}[s.Dlopen]
	for _, v := range [][2]any{
		{"QUEUES", 4}, {"SLOTS", 256}, {"SIGPIPE", 0}, {"MMAP32BIT", 0}, {"SSPINS", 100}, {"SSLEEP", 4000}, {"TCS", s.TCS},
		{"HEAP", s.Heap}, {"STACK", s.Stack}, {"CONFIG", "/etc/sgx-musl.conf"}, {"MODE", "sim"},
		{"ALLOW_DLOPEN", dlopen}, {"MPROTECT", yesNo(s.Mprotect)}, {"FORK", yesNo(s.Fork)},
	} {
		fmt.Fprintf(out, "export SCONE_%s=%v\n", v[0], v[1])
	}
	fmt.Fprintf(out, "SCONE version: stand-in 1\n\nEnclave hash: %s\n", m.Static)
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
