package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// maxHashLimit is a week of hashing, in GiB.
const maxHashLimit = 1 << 20

func (a *app) measureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "measure [IMAGE | FILE...]",
		Short: "Measure the enclave of an image",
		Long: `measure runs an image in the mode in which its enclave prints its measurement,
compares the value with the fingerprint file in the image and with what the build
printed, and prints the value that a chain stores. IMAGE is a reference in a
registry or the folder of an OCI layout; without it the source is built.

FILE is an enclave of Intel's SGX SDK or of Open Enclave, an SGXS stream, a
SIGSTRUCT, or any file with SIGSTRUCTs in it. Its MRENCLAVE is computed from its
pages, without running it, and compared with what was signed. A file of which
only a signature can be checked has no answer. Of an SGXS stream and, behind it, its
SIGSTRUCT one is the signature of the other.

Exit codes: 0 all measured, as signed and as expected; 2 no such file or image; 11
cannot be measured, or measures to something else; 12 a signature that does not hold;
15 what was checked is right, and nothing was measured.`,
		Example: "  mrelease measure\n  mrelease measure dist/image\n  mrelease measure ghcr.io/acme/hello:1.0.0\n  mrelease measure enclave.signed.so\n  mrelease measure enclave.sgxs enclave.sig --expect MRSIGNER",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if a.hashLimit == 0 || a.hashLimit > maxHashLimit {
				return usage.Errorf(c.CommandPath(), "--hash-limit must be from 1 to %d", maxHashLimit)
			}
			if err := enclave.CheckExpected(a.expected); err != nil {
				return err
			}
			return a.runMeasure(c.Context(), args)
		},
	}
	a.addBuildFlags(c)
	a.noCacheFlag(c)
	a.allFlag(c)
	c.Flags().Uint64Var(&a.hashLimit, "hash-limit", enclave.DefaultMaxHashed>>30, "what measuring a FILE may hash, in GiB: 64 bytes for a page of heap, 5184 for a page with content")
	c.Flags().StringArrayVar(&a.expected, "expect", nil, "MRENCLAVE or MRSIGNER, 64 hex digits, that it must be; can be given several times")
	return c
}

// measureAnswer is the answer of mrelease measure --json.
type measureAnswer struct {
	Schema    string            `json:"schema"`
	Image     v1.Hash           `json:"image"`
	Format    measure.Format    `json:"format"`
	MRENCLAVE measure.MRENCLAVE `json:"mrenclave"`
	Value     string            `json:"value"`
	Synthetic bool              `json:"synthetic,omitempty"`
	Readings  []measure.Reading `json:"readings"`
	Basis     measure.Basis     `json:"basis"`
}

func (a *app) runMeasure(ctx context.Context, args []string) (err error) {
	if i := slices.IndexFunc(args, func(arg string) bool { return !isFile(arg) }); len(args) > 0 && i < 0 {
		return a.measureFiles(ctx, args)
	} else if len(args) > 1 {
		return usage.Errorf("mrelease measure", "of several arguments each must be a file, and %q is none", args[i])
	}
	cfg, err := a.load(settings.Purpose{Build: len(args) == 0, App: true})
	if err != nil {
		return err
	}
	kept := a.keep()
	defer func() { err = errors.Join(err, kept.Close()) }()
	m, err := a.measured(ctx, cfg, args, kept)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		err := release.CheckMeasured(ctx, release.Drift{Path: a.lockPath(cfg), Settings: cfg, Registry: a.registry()}, a.story, m.image, m.enclave)
		if err != nil {
			return err
		}
	}
	found := m.enclave
	if !a.json {
		_, err = fmt.Fprintln(a.stdout, found.Value)
		return err
	}
	digest, err := m.image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	return printJSON(a.stdout, measureAnswer{
		"mrelease.measure/v1", digest, found.Format, found.MRENCLAVE, found.Value, found.IsSynthetic(), found.Readings, found.Basis,
	})
}

// keep returns where layers are kept that are fetched, and how that is told.
func (a *app) keep() *registry.Kept { return &registry.Kept{Progress: a.story.progress()} }

// measured is an image with its measurement.
type measured struct {
	image   v1.Image
	spec    measure.Spec
	enclave measure.Enclave
}

// measured builds the source, or opens the image that is named, and measures it.
// An image that is not there is told before a builder is asked for. Its layers are kept.
func (a *app) measured(ctx context.Context, cfg settings.Settings, args []string, kept *registry.Kept) (m measured, err error) {
	m.spec = cfg.Enclave.Spec()
	if len(args) > 0 {
		if m.image, err = release.OpenImage(ctx, a.registry().Keeping(kept), args[0]); err != nil {
			return m, err
		}
		if m.spec.Claim, err = release.Claim(m.image); err != nil {
			return m, err
		}
	}
	builder, missing, err := a.openBuilderIfAny(ctx, cfg)
	if err != nil || missing != nil && len(args) == 0 {
		return m, cmp.Or(err, missing)
	}
	defer a.closeBuilder(builder)
	maker := a.maker(builder, cfg)
	maker.NoBuilder, maker.Expect = missing, a.expect
	if len(args) == 0 {
		layout := cfg.Apps.Output("image")
		letGo, err := release.HoldOutput(layout)
		if err != nil {
			return m, err
		}
		defer letGo()
		src, err := a.readSource(ctx, source.Options{Settings: cfg})
		if err != nil {
			return m, err
		}
		made, err := maker.Make(ctx, src, layout)
		if err != nil {
			return m, err
		}
		m.image, m.spec.Log = made.Image, made.Log
	}
	m.enclave, err = maker.Measure(ctx, m.image, m.spec)
	return m, err
}

// expect compares an image's measurement with what it must be.
func (a *app) expect(found measure.Enclave) error {
	e := enclave.Enclave{Computed: sgx.MRENCLAVE(found.MRENCLAVE), SIGSTRUCT: found.Signature}
	if found.Format == measure.None {
		e.Unmeasured = &enclave.UnmeasurableError{Part: "image", Reason: "is for TDX, and has none"}
	}
	return (&enclave.File{Enclaves: []enclave.Enclave{e}}).Expect("the image", a.expected)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
