package release

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// *buildkit.Builder runs images for package measure; neither knows the other.
var _ measure.Runner = (*buildkit.Builder)(nil)

// Maker makes and measures images.
type Maker struct {
	Builder   *buildkit.Builder
	NoBuilder error // why Builder is nil: then nothing is made, and no image run
	Settings  settings.Settings
	Keys      interface{ EnclaveKey() ([]byte, error) }
	Registry  registry.Client             // for the manifests of bases
	Accepted  *lock.Lock                  // nil: none
	Expect    func(measure.Enclave) error // says what is wrong with a measurement; nil: nothing
	Teller    Teller
	// Cache is what a registry keeps of builds' steps; nil: nothing is taken or kept.
	Cache *Cache
	// Before runs while the builder begins. Its error is that of Make, and nothing is
	// told of the build then. It may be nil.
	Before func() error
	// Measuring is that of [World].
	Measuring sync.Locker
}

// Made is an image with what is known of how it was made.
type Made struct {
	Image     v1.Image
	Unsealed  v1.Image // the same when the Dockerfile seals
	Materials []buildkit.Material
	Log       []byte // what the steps printed
}

// Make builds the source into the layout dir, and seals it when the settings ask
// for that; the unsealed image is then in a layout "unsealed" beside it.
func (m Maker) Make(ctx context.Context, src source.Source, dir string) (Made, error) {
	e := m.Settings.Enclave
	if !e.Seals() {
		return m.build(ctx, src, dir)
	}
	seal := e.BuildSeal()
	var err error
	if seal.Program.Key, err = m.Keys.EnclaveKey(); err != nil {
		return Made{}, err
	}
	made, err := m.build(ctx, src, filepath.Join(filepath.Dir(dir), "unsealed"))
	if err != nil {
		return Made{}, err
	}
	made.Materials = append(made.Materials, seal.Material())
	seal.Epoch, seal.Created, seal.NoCache, seal.Keychain = src.Epoch, src.Created, src.NoCache, src.Keychain
	return made, m.seal(ctx, seal, &made, dir)
}

// build builds into an OCI layout.
func (m Maker) build(ctx context.Context, src source.Source, dir string) (made Made, err error) {
	if src.Source, err = src.Read(ctx); err != nil {
		return Made{}, err
	}
	inputs, err := src.Digest(ctx)
	if err != nil {
		return Made{}, err
	}
	src.Annotations = map[string]string{registry.InputsAnnotation: inputs.String()}
	var printed bytes.Buffer
	by := m.importer(ctx, src)
	defer by.stop()
	building := by.builder.Begin(ctx, src.Source, dir, &printed)
	if m.Before != nil {
		if err := m.Before(); err != nil {
			building.Drop()
			return Made{}, err
		}
	}
	err = tell(m.Teller, "build", func() (string, error) {
		var built buildkit.Built
		finish := building.Finish
		err := m.persist(ctx, func() (err error) {
			built, err = finish()
			if err != nil && by.takes(ctx) {
				m.distrust(by, err)
				printed.Reset()
				if by.shares() { // what it took, it has still
					src.NoCache = true
				}
				built, err = m.Builder.Build(ctx, src.Source, dir, &printed)
			}
			finish = func() (buildkit.Built, error) {
				printed.Reset() // what a builder printed that was lost does not count
				return m.Builder.Build(ctx, src.Source, dir, &printed)
			}
			return err
		})
		if err != nil {
			return "", err
		}
		made = Made{Image: built.Image, Unsealed: built.Image, Materials: built.Materials}
		if err := src.BlameUser(checkUser(ctx, built.Image)); err != nil {
			return "", err
		}
		digest, err := built.Image.Digest()
		evidence := digest.String() + by.evidence()
		if built.Log != "" {
			evidence += ", log " + built.Log
		}
		return evidence, err
	})
	made.Log = printed.Bytes()
	if err == nil {
		m.keepSteps(ctx, by, src)
	}
	return made, cmp.Or(err, ctx.Err())
}

// seal adds the sealed image to what was made.
func (m Maker) seal(ctx context.Context, seal buildkit.Seal, made *Made, dir string) error {
	return tell(m.Teller, "seal", func() (string, error) {
		config, err := made.Unsealed.ConfigName()
		if err != nil {
			return "", fmt.Errorf("reading config digest: %w", err)
		}
		materials, err := buildkit.FormatMaterials(made.Materials)
		if err != nil {
			return "", err
		}
		seal.Annotations = map[string]string{registry.UnsealedAnnotation: config.String(), registry.MaterialsAnnotation: materials}
		var printed bytes.Buffer
		err = m.persist(ctx, func() error {
			printed.Reset()
			made.Image, err = m.Builder.Seal(ctx, made.Unsealed, seal, dir, &printed)
			return err
		})
		if err != nil {
			return "", err
		}
		made.Log = append(made.Log, printed.Bytes()...)
		digest, err := made.Image.Digest()
		return fmt.Sprintf("%s, %s", digest, seal.Mode), err
	})
}

// Measure measures an image, and says of a synthetic value that it is one. Without a
// builder it compares what the image states, and ends with a [*measure.UnmeasuredError].
func (m Maker) Measure(ctx context.Context, image v1.Image, spec measure.Spec) (enclave measure.Enclave, err error) {
	err = tell(m.Teller, "measure", func() (string, error) {
		if m.Builder == nil {
			return "", m.compareStated(ctx, image, spec)
		}
		if spec.Format != measure.None {
			if spec.Bases, err = m.bases(ctx, image); err != nil {
				return "", err
			}
		}
		err = m.persist(ctx, func() error {
			if m.Measuring != nil { // and not while another builder is waited for
				m.Measuring.Lock()
				defer m.Measuring.Unlock()
			}
			enclave, err = measure.Image(ctx, m.Builder, image, spec)
			return err
		})
		if err == nil && m.Expect != nil {
			err = m.Expect(enclave)
		}
		if err != nil || spec.Format == measure.None {
			return "the image's digest is the measurement", err
		}
		return fmt.Sprintf("MRENCLAVE %s, %s; %s", enclave.MRENCLAVE, enclave.Agreement(), enclave.Basis), nil
	})
	if m.Builder != nil {
		for _, limit := range m.Builder.Lacks() {
			m.Teller.Note("the image's program ran without " + limit + ", which this machine does not have (SECURITY.md)")
		}
	}
	return enclave, err
}

// persist does some work with the builder, and does it again where the builder was lost and
// another one has its place.
func (m Maker) persist(ctx context.Context, work func() error) error {
	for {
		if again, err := m.Builder.Again(ctx, work()); !again {
			return err
		}
	}
}

// compareStated looks at all but what only running the image shows.
func (m Maker) compareStated(ctx context.Context, image v1.Image, spec measure.Spec) error {
	stated, known, err := measure.Stated(ctx, image, spec)
	if err != nil || spec.Format == measure.None {
		return err
	}
	if known {
		var sources []string
		for _, r := range stated.Readings {
			sources = append(sources, r.Source)
		}
		m.Teller.Note(fmt.Sprintf("  stated, not measured: MRENCLAVE %s (%s)", stated.MRENCLAVE, strings.Join(sources, ", ")))
	}
	return &measure.UnmeasuredError{Err: m.NoBuilder}
}

// Random says which differences the configured seal makes by design.
func Random(e settings.Enclave) diff.Options {
	if e.Format != measure.Legacy {
		return diff.Options{}
	}
	return diff.Options{Files: append(measure.SealFiles(), e.File), Annotations: []string{registry.FingerprintAnnotation}}
}
