package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/measure/rootfs"
	"github.com/mrelease/mrelease/measure/sgx"
)

// prover finds out what the value that an image prints rests on. Two things are asked
// of it. Which program is started, and is that, with all that is loaded with it, one
// whose bytes are trusted? And does it print the value by itself: started without the
// app's arguments, and for a base's program without the app's files? An interpreter of
// scripts prints nothing then; an enclave's runtime does not look at either.
type prover struct {
	runner    Runner
	image     v1.Image
	spec      Spec
	signature *sgx.SIGSTRUCT // of spec.Program, verified; nil: none
}

// proof is what is known before the program's value is.
type proof struct {
	basis   Basis
	control MRENCLAVE // what the program printed by itself
}

// conclude compares the program's own value with the image's.
func (p proof) conclude(m MRENCLAVE) Basis {
	if p.basis.Trust != TrustStated && p.control != m {
		return stated(p.basis.Program, fmt.Sprintf("%s by itself measures to %s", p.basis.Program, p.control))
	}
	return p.basis
}

func stated(program, why string) Basis { return Basis{Trust: TrustStated, Program: program, Why: why} }

// prove makes the proof. Its errors are those of the runner; what cannot be proven is
// stated. The program's own run begins as soon as the program is known, beside the look
// at its bytes; of a program whose bytes are not trusted it says nothing, and is ended.
func (p prover) prove(ctx context.Context) (proof, error) {
	base, err := p.base()
	if err != nil {
		return proof{}, err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var own control
	basis, err := p.look(ctx, base, func(b Basis) { own = p.begin(ctx, b) })
	if err != nil || basis.Trust == TrustStated {
		end()
		own.wait()
		return proof{basis: basis}, err
	}
	value, err := own.wait()
	var output *OutputError
	var timeout *TimeoutError
	if errors.As(err, &output) || errors.As(err, &timeout) {
		return proof{basis: stated(basis.Program, basis.Program+" by itself measures nothing: "+err.Error())}, nil
	}
	return proof{basis, value}, err
}

// control is a run of a program by itself; nil: none.
type control chan ownValue

// ownValue is what came of it.
type ownValue struct {
	value MRENCLAVE
	err   error
}

// begin begins the run of a program.
func (p prover) begin(ctx context.Context, b Basis) control {
	c := make(control, 1)
	go func() {
		var own ownValue
		var alone v1.Image
		if alone, own.err = p.alone(b); own.err == nil {
			own.value, own.err = runOnce(ctx, p.runner, alone, p.spec.Timeout, hashSetting)
		}
		c <- own
	}()
	return c
}

// wait returns what came of the run.
func (c control) wait() (MRENCLAVE, error) {
	if c == nil {
		return MRENCLAVE{}, nil
	}
	own := <-c
	return own.value, own.err
}

// base returns the one of the trusted bases that the image begins with; of several the
// one with the most layers, nil for none.
func (p prover) base() (*Base, error) {
	var found *Base
	for _, base := range p.spec.Bases {
		isOf, err := base.IsOf(p.image)
		if err != nil {
			return nil, err
		}
		if isOf && (found == nil || base.count() > found.count()) {
			found = &base
		}
	}
	return found, nil
}

// look looks at the program that the image starts. It calls begin when the program is
// found, and what else there is to know of it does not rest on bytes.
func (p prover) look(ctx context.Context, base *Base, begin func(Basis)) (Basis, error) {
	config, err := p.image.ConfigFile()
	if err != nil {
		return Basis{}, fmt.Errorf("reading config: %w", err)
	}
	images := []v1.Image{p.image}
	if base != nil && p.signature == nil {
		below, err := lowest(p.image, base.count(), v1.Config{})
		if err != nil {
			return Basis{}, err
		}
		images = append(images, below)
	}
	ctx, cancel := context.WithTimeout(ctx, p.spec.Timeout)
	defer cancel()
	var basis Basis
	err = p.runner.Look(ctx, images, func(roots []fs.FS) (err error) {
		basis, err = p.judge(config.Config, roots, base, begin)
		return err
	})
	var start *rootfs.StartError
	if errors.As(err, &start) {
		return stated("", start.Error()), nil
	}
	return basis, err
}

// judge looks at the files of the image, and of its base if there is one.
func (p prover) judge(config v1.Config, roots []fs.FS, base *Base, begin func(Basis)) (Basis, error) {
	program, err := rootfs.Find(roots[0], config)
	if err != nil {
		return Basis{}, err
	}
	if p.signature != nil {
		signer := p.signature.MRSIGNER()
		signed := Basis{Trust: TrustComputed, Program: program, Signer: &signer}
		begin(signed)
		same, err := equal(roots[0], program, roots[0], p.spec.Program)
		if err != nil || !same {
			return stated(program, fmt.Sprintf("%s is started, and not the signed %s", program, p.spec.Program)), err
		}
		return signed, nil
	}
	if base == nil {
		return stated(program, "it begins with no base image that is trusted by its digest, so "+program+" may print anything"), nil
	}
	known := Basis{Trust: TrustKnown, Program: program, Base: base}
	begin(known)
	loaded, err := rootfs.Started(roots[0], program, config.Env)
	if err != nil {
		return Basis{}, err
	}
	for _, file := range loaded {
		same, err := equal(roots[0], file, roots[1], file)
		if err != nil {
			return Basis{}, err
		}
		if !same {
			return stated(program, fmt.Sprintf("%s, which %s is started with, is not that of %s", file, program, base.Name)), nil
		}
	}
	return known, nil
}

// alone returns the image in which the program is by itself, with no argument and no
// more of the app's environment than what the runtime and its linker read.
func (p prover) alone(b Basis) (v1.Image, error) {
	config, err := p.image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	count := len(config.RootFS.DiffIDs)
	if b.Base != nil {
		count = b.Base.count()
	}
	return lowest(p.image, count, v1.Config{Entrypoint: []string{b.Program}, Env: runtimeSettings(config.Config.Env)})
}

// lowest returns an image of the lowest layers of another one. Its parts are those of
// the other: nothing is read of the layers.
func lowest(image v1.Image, count int, config v1.Config) (v1.Image, error) {
	whole, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	if count > len(whole.Layers) || count > len(file.RootFS.DiffIDs) {
		return nil, fmt.Errorf("taking the lowest %d layers: the image has %d, and its configuration %d", count, len(whole.Layers), len(file.RootFS.DiffIDs))
	}
	part := lowestLayers{image: image}
	part.config, err = json.Marshal(v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: config, RootFS: v1.RootFS{Type: "layers", DiffIDs: file.RootFS.DiffIDs[:count]},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding config: %w", err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(part.config))
	if err != nil {
		return nil, fmt.Errorf("hashing config: %w", err)
	}
	part.manifest, err = json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: whole.Layers[:count],
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: digest},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	return partial.CompressedToImage(part)
}

// lowestLayers is a part of an image.
type lowestLayers struct {
	image            v1.Image
	config, manifest []byte
}

// RawConfigFile implements [partial.CompressedImageCore], as the methods below.
func (l lowestLayers) RawConfigFile() ([]byte, error)      { return l.config, nil }
func (l lowestLayers) RawManifest() ([]byte, error)        { return l.manifest, nil }
func (l lowestLayers) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (l lowestLayers) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	return l.image.LayerByDigest(h)
}

// equal reports whether two files have the same content, or both are not there.
func equal(a fs.FS, aPath string, b fs.FS, bPath string) (same bool, err error) {
	x, errX := a.Open(strings.TrimPrefix(aPath, "/"))
	y, errY := b.Open(strings.TrimPrefix(bPath, "/"))
	for _, f := range []fs.File{x, y} {
		if f != nil {
			defer func() { err = errors.Join(err, f.Close()) }()
		}
	}
	noX, noY := errors.Is(errX, fs.ErrNotExist), errors.Is(errY, fs.ErrNotExist)
	if noX || noY {
		return noX && noY, nil
	}
	if errors.Is(errX, fs.ErrInvalid) || errors.Is(errY, fs.ErrInvalid) {
		return false, nil // one is no file
	}
	if err := errors.Join(errX, errY); err != nil {
		return false, fmt.Errorf("comparing %s: %w", aPath, err)
	}
	return sameContent(x, y)
}

func sameContent(x, y io.Reader) (bool, error) {
	const chunk = 256 << 10
	a, b := make([]byte, chunk), make([]byte, chunk)
	for {
		n, errX := io.ReadFull(x, a)
		m, errY := io.ReadFull(y, b)
		switch endX, endY := ended(errX), ended(errY); {
		case errX != nil && !endX:
			return false, fmt.Errorf("reading file: %w", errX)
		case errY != nil && !endY:
			return false, fmt.Errorf("reading file: %w", errY)
		case !bytes.Equal(a[:n], b[:m]):
			return false, nil
		case endX || endY:
			return endX && endY, nil
		}
	}
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
