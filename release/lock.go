package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// NoLock says that nothing holds the expected measurement.
const NoLock = "no " + lock.Name + ": a release takes whatever the build measures to; mrelease accept writes one"

// ReadLock returns nil when there is no lock: then nothing is compared.
func ReadLock(path string) (*lock.Lock, error) {
	l, err := lock.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &l, err
}

// EarlierLock returns the lock of another commit of the source's repository: nil when
// that commit has none. It is not found when it cannot be seen, or is none that can be
// read.
func EarlierLock(ctx context.Context, o source.Options, commit string) (l *lock.Lock, found bool, err error) {
	data, found, err := o.Earlier(ctx, commit, o.Lock)
	if err != nil || data == nil {
		return nil, found, err
	}
	earlier, err := lock.Parse(data)
	if err != nil {
		return nil, false, nil
	}
	return &earlier, true, nil
}

// checkDrift compares the image with the lock, if there is one.
func (r *run) checkDrift(ctx context.Context) (string, error) {
	if r.accepted == nil {
		return "", nil
	}
	d := Drift{Path: r.Lock, Accepted: *r.accepted, Settings: r.Settings, Registry: r.Registry}
	return "", d.Check(ctx, r.Teller, r.image.Image, record.NewEnclave(r.enclave.Enclave, r.Settings.Enclave.Spec()))
}

// lookAtLock says what the release must measure to. Its error is a *lock.DriftError
// when it can be seen that it will not.
func (r *run) lookAtLock(context.Context) ([]Finding, error) {
	if r.accepted == nil {
		return []Finding{{"lock", Note, NoLock}}, nil
	}
	if err := r.foreseeDrift(); err != nil {
		return nil, err
	}
	switch {
	case r.accepted.MRENCLAVE == nil:
		return []Finding{{"lock", Note, r.Lock + " holds what the image must be made from"}}, nil
	}
	return []Finding{{"lock", Note, fmt.Sprintf("%s expects MRENCLAVE %s", r.Lock, r.accepted.MRENCLAVE)}}, nil
}

// Drift is the comparison of images with an accepted lock.
type Drift struct {
	Path     string // of the lock
	Accepted lock.Lock
	Settings settings.Settings
	Registry registry.Client // for the accepted image
}

// Check compares an image with the lock. Its error is a *lock.DriftError.
func (d Drift) Check(ctx context.Context, t Teller, image v1.Image, enclave record.Enclave) error {
	return tell(t, "lock", func() (string, error) {
		now, err := Describe(ctx, d.Settings, image, enclave)
		if err != nil {
			return "", err
		}
		err = lock.Check(d.Path, d.Accepted, now)
		var drift *lock.DriftError
		if errors.As(err, &drift) {
			drift.Files = d.changedFiles(ctx, image)
		}
		return "the enclave is the accepted one (" + d.Path + ")", err
	})
}

const maxChangedFiles = 10

// changedFiles compares with the accepted image itself, which names what a lock
// holds digests of folders of. Where it cannot be had, the folders must do.
func (d Drift) changedFiles(ctx context.Context, image v1.Image) []string {
	if d.Accepted.Image == "" {
		return nil
	}
	older, err := OpenImage(ctx, d.Registry, d.Accepted.Image)
	if err != nil {
		return nil
	}
	report, err := diff.Compare(ctx, older, image, Random(d.Settings.Enclave))
	if err != nil {
		return nil
	}
	return report.Worst(maxChangedFiles)
}

// Describe makes the lock of an image and its measurement.
func Describe(ctx context.Context, s settings.Settings, image v1.Image, enclave record.Enclave) (lock.Lock, error) {
	facts, err := lockFacts(s.Enclave, image, enclave)
	if err != nil {
		return lock.Lock{}, err
	}
	return lock.Describe(ctx, image, facts)
}

// lockFacts are what a lock says besides what is in the image.
func lockFacts(e settings.Enclave, image v1.Image, enclave record.Enclave) (lock.Facts, error) {
	f, err := ImageFacts(image)
	if err != nil {
		return f, err
	}
	f.Settings, f.MRENCLAVE = lockSettings(e), enclave.MRENCLAVE
	if s := enclave.Signature; s != nil { // what was signed counts, not what was asked for
		maps.Copy(f.Settings, map[string]string{"isvprodid": fmt.Sprint(s.ProductID), lock.SVN: fmt.Sprint(s.SVN)})
	}
	if e.Seal == buildkit.SealBinaryFS {
		f.Folders = e.Protected()
	}
	random := !e.Seals() && e.Format == measure.Legacy // the Dockerfile seals, with another key each time
	if f.Unsealed == nil && !random {
		name, err := image.ConfigName()
		if err != nil {
			return f, fmt.Errorf("reading config digest: %w", err)
		}
		f.Unsealed = &name
	}
	return f, nil
}

// ImageFacts are those that an image's manifest states.
func ImageFacts(image v1.Image) (lock.Facts, error) {
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

// lockSettings are the enclave's settings.
func lockSettings(e settings.Enclave) map[string]string {
	s := map[string]string{"format": string(e.Format), "seal": string(e.Seal)}
	if e.Format == measure.JSON {
		maps.Copy(s, map[string]string{"framework": e.Framework, "version": e.Version, "entrypoint": e.Entrypoint, "heap": e.Heap.String()})
	}
	if e.Seals() {
		s["regions"] = strings.Join(e.Protected(), " ")
	}
	if e.Seal == buildkit.SealBinaryFS {
		p := e.BuildSeal().Program
		maps.Copy(s, map[string]string{
			"program": p.Path, "heap": settings.Size(p.Heap).String(), "stack": settings.Size(p.Stack).String(), "dlopen": fmt.Sprint(p.Dlopen),
			"mprotect": fmt.Sprint(p.Mprotect), "isvprodid": fmt.Sprint(p.ProductID), lock.SVN: fmt.Sprint(p.SecurityVersion),
			"production": fmt.Sprint(e.Key != ""),
		})
	}
	return s
}
