package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// parts is how many layers have the large image's files.
const parts = 4

// largeImage is an image in the sandbox's registry, of the released example and of some
// files of half random bytes, half text, each a layer.
type largeImage struct {
	project  project
	size     string
	record   record.Record // which names the registry behind the meter
	registry *meter
}

// pulls measures what is done with a large image that is released: it is measured where
// nothing of it is, verified, and pushed.
func pulls(ctx context.Context, b *bench) (rows []row, err error) {
	image, err := b.newLargeImage(ctx)
	if err != nil {
		return nil, err
	}
	defer image.registry.Close()
	defer func() { err = errors.Join(err, image.project.remove()) }()
	for _, measure := range []func(context.Context, *bench, largeImage) ([]row, error){measuredPulls, verifiedOnce, pushes} {
		more, err := measure(ctx, b, image)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (b *bench) newLargeImage(ctx context.Context) (image largeImage, err error) {
	p, err := b.newProject()
	if err != nil {
		return image, err
	}
	bytes := int64(b.scale * (2 << 30))
	for i := range parts {
		part := fmt.Sprint("data", i)
		if err := errors.Join(writeHalves(filepath.Join(p.dir, part), bytes/parts), p.copyFirst(part)); err != nil {
			return image, err
		}
	}
	m := newMeter("http://" + os.Getenv("SANDBOX_REGISTRY"))
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox-v5\nwallet: {keystore: %q}\n",
		m.host(), p.name, p.name, filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "wallet.json"))
	state := filepath.Join(b.dir, "pull-releases")
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	cmd, err := b.mrelease(ctx, p, state, settings, "release", "--version", "1.0.0")
	if err != nil {
		return image, err
	}
	if _, _, err := timed(cmd); err != nil {
		return image, err
	}
	rec, err := record.ReadFile(filepath.Join(p.dir, "dist/record.json"))
	return largeImage{p, fmt.Sprintf("%d MB in %d layers", bytes>>20, parts), rec, m}, err
}

// reference is the image by its digest, in the registry itself.
func (i largeImage) reference() (name.Digest, error) {
	ref, err := name.NewDigest(fmt.Sprintf("%s/%s@%s", os.Getenv("SANDBOX_REGISTRY"), i.project.name, i.record.Image.Digest))
	if err != nil {
		return ref, fmt.Errorf("parsing reference: %w", err)
	}
	return ref, nil
}

// measuredPulls compares measuring an image of which nothing is there with buildctl's pulling
// and unpacking it.
func measuredPulls(ctx context.Context, b *bench, image largeImage) ([]row, error) {
	ref, err := image.reference()
	if err != nil {
		return nil, err
	}
	measured, err := alternate(b.runs,
		func() (cost, error) { return b.measureFromNothing(ctx, image.project, ref) },
		func() (cost, error) { return b.rawPull(ctx, ref) },
	)
	if err != nil {
		return nil, err
	}
	name := "image of " + image.size + ", nothing there: pull, check, unpack, measure"
	r := compare(name, measured[0], measured[1])
	r.Note = "the others pull and unpack alone, and their time includes the start of their daemon"
	return []row{r.atMostTimes(1.2), compareCPU(name, measured[0], measured[1]), peakOf(name, measured[0]).atMost(200)}, nil
}

func (b *bench) measureFromNothing(ctx context.Context, p project, ref name.Digest) (c cost, err error) {
	state := filepath.Join(b.dir, "pull-state")
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	cmd, err := b.mrelease(ctx, p, state, "", "measure", ref.Name(), "--builder", "embedded")
	if err != nil {
		return c, err
	}
	_, c, err = timed(cmd)
	return c, err
}

// rawPull has a daemon that has nothing yet pull and unpack an image: a file is copied onto it.
func (b *bench) rawPull(ctx context.Context, ref name.Digest) (c cost, err error) {
	dir, root, start := filepath.Join(b.dir, "pull-context"), filepath.Join(b.dir, "pull-daemon"), time.Now()
	dockerfile := filepath.Join(dir, "Dockerfile")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dockerfile, []byte("FROM "+ref.Name()+"\nCOPY Dockerfile /\n"), 0o644)); err != nil {
		return c, fmt.Errorf("preparing pull: %w", err)
	}
	d, err := b.startDaemon(ctx, root)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(root)) }()
	started := cost{Wall: time.Since(start)}
	c, err = d.during(func() (cost, error) {
		cmd := exec.CommandContext(ctx, b.path("bin/buildctl"), "--addr", d.address, "build", "--progress", "plain", "--frontend", "dockerfile.v0", "--local", "context="+dir, "--local", "dockerfile="+dir)
		_, c, err := timed(cmd)
		return c, err
	})
	return c.and(started), err
}

// verifiedOnce verifies the app of an image, with the measurement of it, and counts the bytes.
func verifiedOnce(ctx context.Context, b *bench, image largeImage) (rows []row, err error) {
	ref, err := image.reference()
	if err != nil {
		return nil, err
	}
	there, err := registry.Client{}.Pull(ctx, ref)
	if err != nil {
		return nil, err
	}
	manifest, err := there.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	var size int64
	for _, l := range manifest.Layers {
		size += l.Size
	}
	image.registry.takeServed()
	state := filepath.Join(b.dir, "pull-state")
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	cmd := exec.CommandContext(ctx, b.path("bin/mrelease"), "verify", common.Address(image.record.App.Address).Hex(), "--chain", "sandbox-v5",
		"--config", filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml"), "--state", state, "--builder", "embedded")
	_, c, err := timed(cmd)
	if err != nil {
		return nil, err
	}
	name := "verify of an image of " + image.size + ", nothing there"
	read := row{Name: name + ": bytes read of it", Unit: "times", Ours: values(float64(image.registry.takeServed()) / float64(size))}
	return []row{{Name: name, Unit: "s", Ours: times([]cost{c})}, read.atMost(1.02), peakOf(name, []cost{c}).atMost(200)}, nil
}

// pushes compares the push of an image's layers with go-containerregistry's of the same.
func pushes(ctx context.Context, b *bench, image largeImage) ([]row, error) {
	there, err := layout.ImageIndexFromPath(filepath.Join(image.project.dir, "dist/image"))
	if err != nil {
		return nil, fmt.Errorf("opening image: %w", err)
	}
	pushed, err := there.Image(image.record.Image.Digest)
	if err != nil {
		return nil, fmt.Errorf("opening image: %w", err)
	}
	measured, err := alternate(b.runs,
		func() (cost, error) { return b.push(ctx, pushed, registry.Client{}.Push) },
		func() (cost, error) {
			return b.push(ctx, pushed, func(ctx context.Context, to name.Tag, image v1.Image) (digest name.Digest, err error) {
				return digest, remote.Write(to, image, remote.WithContext(ctx))
			})
		},
	)
	if err != nil {
		return nil, err
	}
	r := compare("push of "+image.size, measured[0], measured[1])
	r.Note = "against go-containerregistry's"
	return []row{r.atMostTimes(1.1)}, nil
}

// push pushes an image to a repository that has nothing of it.
func (b *bench) push(ctx context.Context, image v1.Image, push func(context.Context, name.Tag, v1.Image) (name.Digest, error)) (c cost, err error) {
	to, err := name.NewTag(fmt.Sprintf("%s/pushed-%d:1.0.0", os.Getenv("SANDBOX_REGISTRY"), b.next()))
	if err != nil {
		return c, fmt.Errorf("parsing reference: %w", err)
	}
	start := time.Now()
	_, err = push(ctx, to, image)
	return cost{Wall: time.Since(start)}, err
}
