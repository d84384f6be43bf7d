package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// findImage computes the inputs digest and looks for the image that an earlier run
// pushed. The seal is random, so an image once pushed is the release's image.
func (r *run) findImage(ctx context.Context) (evidence string, err error) {
	if r.Source.Source, err = r.Source.Read(ctx); err != nil {
		return "", err
	}
	if r.inputs, err = r.Source.Digest(ctx); err != nil {
		return "", err
	}
	image, err := r.Registry.Released(ctx, r.tag, r.inputs)
	var taken *registry.TakenError
	if errors.As(err, &taken) && r.onlyTimeDiffers(ctx, taken) {
		return "", &TimeError{taken, r.Source.Created}
	}
	if err != nil {
		return "", err
	}
	if r.place, err = r.Registry.Place(ctx, r.tag.Repository); err != nil {
		return "", err
	}
	if image == nil {
		if err := r.findBuilt(ctx); err != nil || r.image.Image == nil {
			return r.inputs.String() + ", not released yet", err
		}
		return r.inputs.String() + ", not released yet, built before into " + r.Layout, r.readDigest()
	}
	r.image.Image, r.image.found = image, true
	return r.inputs.String() + ", released before as " + r.tag.Name(), r.readDigest()
}

// TimeError is a [registry.TakenError] of an image that differs in nothing but its time:
// the same files were committed again, or beside others that do not go into the image.
type TimeError struct {
	*registry.TakenError
	Now time.Time
}

// Unwrap returns the error without the reason.
func (e *TimeError) Unwrap() error { return e.TakenError }

// Remedy says what can be done: the version is released, of the same files.
func (e *TimeError) Remedy() string {
	return "nothing, if the version is to stay as it was released: its image is of the same files; to release this commit, give it a new version"
}

// Evidence adds the two times.
func (e *TimeError) Evidence() [][2]string {
	return append(e.TakenError.Evidence(), [2]string{"differs", fmt.Sprintf("nothing but the time: the image there is of %s, and this commit, or SOURCE_DATE_EPOCH, of %s",
		e.Created.UTC().Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339))})
}

// onlyTimeDiffers reports whether the inputs would be those of the image that is there
// if they had its time.
func (r *run) onlyTimeDiffers(ctx context.Context, there *registry.TakenError) bool {
	src := r.Source.Source
	asked := src.Epoch.Equal(src.Created)
	if src.Created = there.Created; asked {
		src.Epoch = there.Created
	}
	inputs, err := src.Digest(ctx)
	return err == nil && !there.Created.IsZero() && inputs.String() == there.Got
}

// findBuilt takes the image that a build left in the layout, where that is asked for: one
// of the same inputs that says itself what it measures to, and the one that was approved.
// What else lies there is nothing: a build replaces it.
func (r *run) findBuilt(ctx context.Context) error {
	if !r.Built && (r.Approved == nil || r.Approved.Image.Digest == nil) {
		return nil
	}
	image, err := openLayout(r.Layout)
	var none *ImageError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	other := r.Approved != nil && (r.Approved.Image.Digest == nil || *r.Approved.Image.Digest != digest.String())
	if other || manifest.Annotations[registry.InputsAnnotation] != r.inputs.String() {
		return nil
	}
	stated, known, err := measure.Stated(ctx, image, r.Settings.Enclave.Spec())
	if known && stated.Portable { // else its manifest still gets what its build printed
		r.image.Image = image
	}
	return err
}

// readDigest notes the image's digest.
func (r *run) readDigest() error {
	digest, err := r.image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	r.image.digest = r.tag.Digest(digest.String())
	return nil
}

func (r *run) lookForImage(ctx context.Context) ([]Finding, error) {
	if _, err := r.findImage(ctx); err != nil {
		return nil, err
	}
	r.plan.Inputs = r.inputs
	inputs := Finding{"inputs", Note, fmt.Sprintf("%s, %s", r.inputs, record.Source{Commit: r.plan.Commit, Dirty: r.plan.Dirty}.State())}
	kept := Finding{"signatures", Note, r.place.String()}
	if r.image.Image != nil && !r.image.found {
		r.plan.Digest = r.image.digest.DigestStr()
		return []Finding{inputs, kept, {"image", ToMake, fmt.Sprintf("%s is free: %s would be pushed, as it lies in %s", r.tag, r.plan.Digest, r.Layout)}}, nil
	}
	if !r.image.found {
		return []Finding{inputs, kept, {"image", ToMake, fmt.Sprintf("%s is free: it would be built and pushed", r.tag)}}, nil
	}
	r.plan.Digest = r.image.digest.DigestStr()
	return []Finding{inputs, kept, {"image", There, fmt.Sprintf("%s is %s, of the same inputs", r.tag, r.plan.Digest)}}, nil
}
