package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
)

// *buildkit.Builder runs images for package measure; neither knows the other.
var _ measure.Runner = (*buildkit.Builder)(nil)

func (a *app) measureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "measure [IMAGE | FILE]",
		Short: "Measure the enclave of an image",
		Long: `measure runs an image in the mode in which its enclave prints its measurement,
compares the value with the fingerprint file in the image and with what the build
printed, and prints the value that a chain stores. IMAGE is a reference in a
registry or the folder of an OCI layout; without it the source is built.

FILE is an enclave of Intel's SGX SDK or of Open Enclave, an SGXS stream, a
SIGSTRUCT, or any file with SIGSTRUCTs in it. Its MRENCLAVE is computed from its
pages, without running it, and compared with what was signed.`,
		Example: "  mrelease measure\n  mrelease measure dist/image\n  mrelease measure ghcr.io/acme/hello:1.0.0\n  mrelease measure enclave.signed.so",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runMeasure(c.Context(), args)
		},
	}
	a.addBuildFlags(c)
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
}

func (a *app) runMeasure(ctx context.Context, args []string) error {
	if len(args) > 0 && isFile(args[0]) {
		return a.measureFile(ctx, args[0])
	}
	cfg, err := a.load(purpose{Build: len(args) == 0})
	if err != nil {
		return err
	}
	builder, err := a.openBuilder(ctx)
	if err != nil {
		return err
	}
	defer a.closeBuilder(builder)
	spec := cfg.spec()
	image, err := a.imageToMeasure(ctx, builder, cfg, &spec, args)
	if err != nil {
		return err
	}
	enclave, err := a.measureImage(ctx, builder, image, spec)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if err := a.checkMeasured(ctx, cfg, image, enclave); err != nil {
			return err
		}
	}
	if !a.json {
		_, err = fmt.Fprintln(a.stdout, enclave.Value)
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	return printJSON(a.stdout, measureAnswer{
		"mrelease.measure/v1", digest, enclave.Format, enclave.MRENCLAVE, enclave.Value, enclave.IsSynthetic(), enclave.Readings,
	})
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// imageToMeasure opens the image that is named, or builds the source.
func (a *app) imageToMeasure(ctx context.Context, b *buildkit.Builder, cfg config, spec *measure.Spec, args []string) (v1.Image, error) {
	if len(args) == 0 {
		src, err := a.readSource(cfg)
		if err != nil {
			return nil, err
		}
		made, err := a.makeImage(ctx, b, src, cfg, filepath.Join("dist", "image"))
		spec.Log = made.Log
		return made.Image, err
	}
	image, err := openImage(ctx, args[0])
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
	return image, nil
}

// openImage opens an OCI layout with one image, or a reference in a registry.
func openImage(ctx context.Context, where string) (v1.Image, error) {
	if info, err := os.Stat(where); err == nil && info.IsDir() {
		return openLayout(where)
	}
	ref, err := name.ParseReference(where)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%q is neither a folder nor an image reference", where), "mrelease measure"}
	}
	client := registry.Client{Keychain: authn.DefaultKeychain}
	if tag, ok := ref.(name.Tag); ok {
		digest, err := client.Resolve(ctx, tag)
		if err != nil {
			return nil, err
		}
		return client.Pull(ctx, digest)
	}
	return client.Pull(ctx, ref.(name.Digest))
}

func openLayout(dir string) (v1.Image, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s is no OCI layout", dir), "mrelease measure"}
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("reading OCI layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading OCI layout: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, &usageError{errors.New("the OCI layout must hold exactly one image"), "mrelease measure"}
	}
	return path.Image(manifest.Manifests[0].Digest)
}

// measureImage measures an image, and says of a synthetic value that it is one.
func (a *app) measureImage(ctx context.Context, b *buildkit.Builder, image v1.Image, spec measure.Spec) (enclave measure.Enclave, err error) {
	err = a.story.step("measure", func() (string, error) {
		enclave, err = measure.Image(ctx, b, image, spec)
		if err != nil || spec.Format == measure.None {
			return "the image's digest is the measurement", err
		}
		evidence := fmt.Sprintf("MRENCLAVE %s, %d sources agree", enclave.MRENCLAVE, len(enclave.Readings))
		if enclave.IsSynthetic() {
			evidence += " (SYNTHETIC: made by a stand-in toolchain)"
		}
		return evidence, nil
	})
	return enclave, err
}
