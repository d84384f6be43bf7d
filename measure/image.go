package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Runner runs an image's own program, with env added to the image's
// environment, without network, and returns the program's exit code. It ends
// the program when ctx is done and then returns ctx's error. It is called from
// several goroutines.
type Runner interface {
	Run(ctx context.Context, image v1.Image, env []string, stdout, stderr io.Writer) (exitCode int, err error)

	// Look shows the files of images as a process in a container of each finds them,
	// links followed; each is an [io.ReaderAt] too.
	Look(ctx context.Context, images []v1.Image, look func(roots []fs.FS) error) error
}

// Format is the shape of what a chain stores about an enclave.
type Format string

const (
	Legacy Format = "legacy" // KEY|TAG|MRENCLAVE, see Fingerprint
	JSON   Format = "json"   // see Object
	None   Format = "none"   // nothing: for TDX the image's digest is the measurement
)

// Formats returns the values that a Format can have.
func Formats() []Format { return []Format{Legacy, JSON, None} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Format) UnmarshalText(text []byte) error {
	if v := Format(text); slices.Contains(Formats(), v) {
		*f = v
		return nil
	}
	return fmt.Errorf("unknown enclave format %q, want %s, %s or %s", text, Legacy, JSON, None)
}

// Spec says what to measure an image for and where else its value stands.
type Spec struct {
	Format  Format
	Object  Object        // with JSON: all but the fingerprint
	File    string        // absolute path of a fingerprint file in the image; it need not exist
	Log     []byte        // what the build printed; empty when it was cached
	Claim   string        // the value that the image's publisher stated; empty: none
	Program string        // absolute path of a signed program in the image, whose signature is a source; empty: none
	Bases   []Base        // whose programs are trusted
	Timeout time.Duration // for one run of the image
}

// Enclave is the measurement of an image.
type Enclave struct {
	Format    Format
	MRENCLAVE MRENCLAVE      // zero with None
	Value     string         // what the chain stores; empty with None
	Readings  []Reading      // where the value was found, the run of the image first
	Missing   []string       // where else it could stand and does not, and why
	Signature *sgx.SIGSTRUCT // of Spec.Program, verified
	Basis     Basis          // what MRENCLAVE rests on; zero when nothing was run
	Portable  bool           // the value can be found again from the image alone, without the build's output
}

// IsSynthetic reports whether a stand-in toolchain made the measurement.
func (e Enclave) IsSynthetic() bool { return e.MRENCLAVE.IsSynthetic() }

// Reading is one place's statement of the measurement.
type Reading struct {
	Source string `json:"source"` // "the image, run in hash mode", "file /conf/fingerprint.txt", "build output", ...
	Value  string `json:"value"`
}

// Image measures an image by running it and compares the value with the other
// sources of spec, whichever exist.
//
// Errors: *OutputError when the program printed no single measurement,
// *TimeoutError, *FormatError (wrapped, with its source) for a malformed
// statement, *FileError when the fingerprint file is no small file, *MismatchError when two sources disagree, and *NoSealError when a
// legacy fingerprint is wanted and nothing states KEY and TAG.
func Image(ctx context.Context, r Runner, image v1.Image, spec Spec) (Enclave, error) {
	if spec.Format == None {
		return Enclave{Format: None, Portable: true}, nil
	}
	signature, signed, err := signatureOf(ctx, image, spec.Program)
	if err != nil {
		return Enclave{}, err
	}
	m, readings, basis, err := runAndProve(ctx, prover{r, image, spec, signature})
	if err != nil {
		return Enclave{}, err
	}
	stated, err := statements(ctx, image, spec)
	if err != nil {
		return Enclave{}, err
	}
	stated = append(stated, signed...)
	for _, s := range stated {
		readings = append(readings, Reading{s.source, s.text})
	}
	if !agree(m, stated) {
		return Enclave{}, &MismatchError{readings}
	}
	value, err := chainValue(m, stated, spec)
	if err != nil {
		return Enclave{}, err
	}
	return Enclave{Format: spec.Format, MRENCLAVE: m, Value: value, Readings: readings, Missing: missing(stated, spec), Signature: signature, Basis: basis, Portable: portable(stated, spec)}, nil
}

// runAndProve reads the measurement from the image, and finds out meanwhile what it
// rests on.
func runAndProve(ctx context.Context, p prover) (m MRENCLAVE, readings []Reading, _ Basis, err error) {
	group, running := errgroup.WithContext(ctx)
	var found proof
	group.Go(func() (err error) {
		found, err = p.prove(running)
		return err
	})
	group.Go(func() (err error) {
		m, readings, err = run(running, p.runner, p.image, p.spec)
		return err
	})
	err = group.Wait()
	return m, readings, found.conclude(m), err
}

// Agreement says how many sources state the measurement, and which do not.
func (e Enclave) Agreement() string {
	text := "one source alone"
	if len(e.Readings) > 1 {
		text = fmt.Sprintf("%d sources agree", len(e.Readings))
	}
	if e.IsSynthetic() {
		text += " (SYNTHETIC: made by a stand-in toolchain)"
	}
	for _, m := range e.Missing {
		text += "; " + m
	}
	return text
}

// missing says which of the usual sources state nothing: a file in the image, and the
// build.
func missing(stated []statement, spec Spec) []string {
	states := func(source string) bool {
		return slices.ContainsFunc(stated, func(s statement) bool { return s.source == source })
	}
	var all []string
	if spec.File != "" && !states(fileSource(spec.File)) {
		all = append(all, "the image has no "+spec.File)
	}
	switch {
	case states(logSource) || states(signerSource):
	case len(spec.Log) == 0:
		all = append(all, "no build output: the image was there, or its steps were cached")
	default:
		all = append(all, "the build printed none: the step was cached, or does not print it")
	}
	return all
}

// run reads the measurement from the image itself. With a heap on the chain it
// is read twice, side by side: iExec's worker starts the enclave with that heap,
// so it has to be the one that was measured.
func run(ctx context.Context, r Runner, image v1.Image, spec Spec) (MRENCLAVE, []Reading, error) {
	runs := []struct {
		source string
		env    []string
		value  MRENCLAVE
	}{{source: "the image, run in hash mode", env: []string{hashSetting}}}
	if heap := spec.Object.HeapSize; spec.Format == JSON {
		runs = append(runs, runs[0])
		runs[1].source += fmt.Sprintf(" with a heap of %d bytes", heap)
		runs[1].env = []string{hashSetting, heapSetting(heap)}
	}
	group, running := errgroup.WithContext(ctx)
	for i := range runs {
		group.Go(func() (err error) {
			runs[i].value, err = runOnce(running, r, image, spec.Timeout, runs[i].env...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return MRENCLAVE{}, nil, err
	}
	var readings []Reading
	agreed := true
	for _, one := range runs {
		readings = append(readings, Reading{one.source, one.value.String()})
		agreed = agreed && one.value == runs[0].value
	}
	if !agreed {
		return MRENCLAVE{}, nil, &MismatchError{readings}
	}
	return runs[0].value, readings, nil
}

func runOnce(ctx context.Context, r Runner, image v1.Image, limit time.Duration, env ...string) (MRENCLAVE, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out output
	var err error
	out.exitCode, err = r.Run(limited, image, env, &out.stdout, &out.stderr)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return MRENCLAVE{}, &TimeoutError{After: limit, Stdout: out.stdout.String(), Stderr: out.stderr.String()}
	}
	if err != nil {
		return MRENCLAVE{}, fmt.Errorf("running the image in hash mode: %w", err)
	}
	return parseHashOutput(out)
}

// statement is what a file, a line of output or a publisher says the value is:
// the MRENCLAVE, the seal, or both.
type statement struct {
	source    string
	text      string
	mrenclave *MRENCLAVE   // nil: not stated
	seal      *Fingerprint // KEY, TAG and entrypoint; nil: not stated
}

const (
	logSource    = "build output"
	claimSource  = "the publisher's claim"
	signerSource = "the signer's description of the signature"
)

func fileSource(path string) string { return "file " + path }

func statements(ctx context.Context, image v1.Image, spec Spec) ([]statement, error) {
	var all []statement
	add := func(source, text string) error {
		s, err := parseStatement(source, text)
		all = append(all, s)
		return err
	}
	if spec.File != "" {
		content, err := readFile(ctx, image, spec.File)
		if err != nil {
			return nil, fmt.Errorf("reading file %s of the image: %w", spec.File, err)
		}
		if content != nil {
			if err := add(fileSource(spec.File), strings.TrimRight(string(content), "\r\n")); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range printedStatements(spec.Log) {
		if err := add(logSource, text); err != nil {
			return nil, err
		}
	}
	if text := printedSignature(spec.Log); text != "" {
		if err := add(signerSource, text); err != nil {
			return nil, err
		}
	}
	if spec.Claim != "" {
		if err := add(claimSource, spec.Claim); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseStatement reads one of the three shapes in which the value is written
// down, told apart by a character that the others cannot hold.
func parseStatement(source, text string) (statement, error) {
	s := statement{source: source, text: text}
	var err error
	switch {
	case strings.HasPrefix(text, "{"):
		var o Object
		o, err = ParseObject([]byte(text))
		s.mrenclave = &o.Fingerprint
	case strings.HasPrefix(text, keytagMark):
		s.seal, err = parseKeytag(text)
	case strings.Contains(text, "|"):
		var f Fingerprint
		f, err = ParseFingerprint(text)
		s.mrenclave, s.seal = &f.MRENCLAVE, &f
	default:
		var m MRENCLAVE
		m, err = ParseMRENCLAVE(text)
		s.mrenclave = &m
	}
	if err != nil {
		return s, fmt.Errorf("reading the fingerprint in %s: %w", source, err)
	}
	return s, nil
}

func agree(m MRENCLAVE, stated []statement) bool {
	var seal *Fingerprint
	for _, s := range stated {
		if s.mrenclave != nil && *s.mrenclave != m {
			return false
		}
		if s.seal == nil {
			continue
		}
		if seal != nil && (seal.Key != s.seal.Key || seal.Tag != s.seal.Tag || seal.Entrypoint != s.seal.Entrypoint) {
			return false
		}
		seal = s.seal
	}
	return true
}

func chainValue(m MRENCLAVE, stated []statement, spec Spec) (string, error) {
	if spec.Format == JSON {
		o := spec.Object
		o.Fingerprint = m
		return o.String(), o.Validate()
	}
	for _, s := range stated {
		if s.seal != nil {
			f := *s.seal
			f.MRENCLAVE = m
			return f.String(), nil
		}
	}
	return "", &NoSealError{MRENCLAVE: m, File: spec.File}
}

// portable reports whether the seal is stated anywhere but in the output of a
// build, which nobody else has.
func portable(stated []statement, spec Spec) bool {
	return spec.Format != Legacy || slices.ContainsFunc(stated, func(s statement) bool {
		return s.seal != nil && s.source != logSource
	})
}
