package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
)

// lockPath is where the lock is: beside the first configuration file.
func (a *app) lockPath() string {
	dir := "."
	if files := a.configFiles(); len(files) > 0 {
		dir = filepath.Dir(files[0])
	}
	return filepath.Join(dir, lock.Name)
}

// readLock returns nil when there is no lock: then nothing is compared.
func (a *app) readLock() (*lock.Lock, error) {
	l, err := lock.ReadFile(a.lockPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &l, err
}

// ignoredLock keeps the lock out of the build: an image that held it would
// change with each accept, and with it what the lock says of the image.
func (a *app) ignoredLock(context string) []string {
	inside, err := filepath.Abs(a.lockPath())
	root, rootErr := filepath.Abs(context)
	if errors.Join(err, rootErr) != nil {
		return nil // there is no working folder: the build fails for that
	}
	path, err := filepath.Rel(root, inside)
	if err != nil || path == ".." || strings.HasPrefix(path, "../") {
		return nil
	}
	return []string{strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(filepath.ToSlash(path))}
}

// lockFacts are what a lock says besides what is in the image.
func (c config) lockFacts(image v1.Image, enclave record.Enclave) (lock.Facts, error) {
	f, err := imageFacts(image)
	if err != nil {
		return f, err
	}
	f.Settings, f.MRENCLAVE = c.lockSettings(), enclave.MRENCLAVE
	if s := enclave.Signature; s != nil { // what was signed counts, not what was asked for
		maps.Copy(f.Settings, map[string]string{"isvprodid": fmt.Sprint(s.ProductID), lock.SVN: fmt.Sprint(s.SVN)})
	}
	if c.Enclave.Seal == buildkit.SealBinaryFS {
		f.Folders = c.Enclave.regions()
	}
	if f.Unsealed == nil && !c.isRandom() {
		name, err := image.ConfigName()
		if err != nil {
			return f, fmt.Errorf("reading config digest: %w", err)
		}
		f.Unsealed = &name
	}
	return f, nil
}

// isRandom reports whether the Dockerfile seals, and with another key each time.
func (c config) isRandom() bool { return !c.Enclave.seals() && c.Enclave.Format == measure.Legacy }

// imageFacts are those that an image's manifest states.
func imageFacts(image v1.Image) (lock.Facts, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return lock.Facts{}, fmt.Errorf("reading manifest: %w", err)
	}
	var src record.Source
	if err := src.ReadAnnotations(manifest.Annotations); err != nil {
		return lock.Facts{}, err
	}
	f := lock.Facts{Unsealed: src.Unsealed, SealLayer: src.Unsealed != nil, Materials: map[string]string{}}
	for _, m := range src.Materials {
		f.Materials[m.URI] = m.Digest.String()
	}
	return f, nil
}

// lockSettings are the enclave's settings of the configuration.
func (c config) lockSettings() map[string]string {
	e := c.Enclave
	s := map[string]string{"format": string(e.Format), "seal": string(e.Seal)}
	if e.Format == measure.JSON {
		maps.Copy(s, map[string]string{"framework": e.Framework, "version": e.Version, "entrypoint": e.Entrypoint, "heap": e.Heap.String()})
	}
	if e.seals() {
		s["regions"] = strings.Join(e.regions(), " ")
	}
	if e.Seal == buildkit.SealBinaryFS {
		p := e.seal().Program
		maps.Copy(s, map[string]string{
			"program": p.Path, "heap": size(p.Heap).String(), "stack": size(p.Stack).String(), "dlopen": fmt.Sprint(p.Dlopen),
			"mprotect": fmt.Sprint(p.Mprotect), "isvprodid": fmt.Sprint(p.ProductID), lock.SVN: fmt.Sprint(p.SecurityVersion),
			"production": fmt.Sprint(e.Key != ""),
		})
	}
	return s
}

// String writes a size in its shortest form.
func (s size) String() string { return measure.FormatSize(fmt.Sprint(uint64(s))) }

// checkDrift compares an image with the lock, if there is one. Its error is a
// *lock.DriftError.
func (a *app) checkDrift(ctx context.Context, cfg config, image v1.Image, enclave record.Enclave) error {
	accepted, err := a.readLock()
	if err != nil || accepted == nil {
		return err
	}
	return a.story.step("lock", func() (string, error) {
		facts, err := cfg.lockFacts(image, enclave)
		if err != nil {
			return "", err
		}
		now, err := lock.Describe(ctx, image, facts)
		if err != nil {
			return "", err
		}
		err = lock.Check(a.lockPath(), *accepted, now)
		var drift *lock.DriftError
		if errors.As(err, &drift) {
			drift.Files = changedFiles(ctx, cfg, accepted.Image, image)
		}
		return "the enclave is the accepted one (" + a.lockPath() + ")", err
	})
}

// changedFiles compares with the accepted image itself, which names what a lock
// holds digests of folders of. Where it cannot be had, the folders must do.
func changedFiles(ctx context.Context, cfg config, accepted string, image v1.Image) []string {
	if accepted == "" {
		return nil
	}
	older, err := openImage(ctx, accepted)
	if err != nil {
		return nil
	}
	report, err := diff.Compare(ctx, older, image, cfg.random())
	if err != nil {
		return nil
	}
	return report.Worst(maxChangedFiles)
}

const maxChangedFiles = 10

// checkMeasured is checkDrift for a measurement that is no release: the inputs
// are looked at when the measurement is another one.
func (a *app) checkMeasured(ctx context.Context, cfg config, image v1.Image, enclave measure.Enclave) error {
	accepted, err := a.readLock()
	if err != nil || accepted == nil || accepted.MRENCLAVE == nil || *accepted.MRENCLAVE == enclave.MRENCLAVE {
		return err
	}
	return a.checkDrift(ctx, cfg, image, record.NewEnclave(enclave, cfg.spec()))
}

// noLock says that nothing holds the expected measurement.
const noLock = "no " + lock.Name + ": a release takes whatever the build measures to; mrelease accept writes one"
