package release

import (
	"cmp"
	"context"
	"fmt"
)

// findImage computes the inputs digest and looks for the image that an earlier run
// pushed. The seal is random, so an image once pushed is the release's image.
func (r *run) findImage(ctx context.Context) (evidence string, err error) {
	if r.inputs, err = r.Source.Digest(ctx); err != nil {
		return "", err
	}
	image, err := r.Registry.Released(ctx, r.tag, r.inputs)
	if err != nil || image == nil {
		return r.inputs.String() + ", not released yet", err
	}
	r.image.Image, r.image.found = image, true
	return r.inputs.String() + ", released before as " + r.tag.Name(), r.readDigest()
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
	inputs := Finding{"inputs", Note, fmt.Sprintf("%s, %s", r.inputs, cmp.Or(r.plan.Commit, "of no commit"))}
	if !r.image.found {
		return []Finding{inputs, {"image", ToMake, fmt.Sprintf("%s is free: it would be built and pushed", r.tag)}}, nil
	}
	r.plan.Digest = r.image.digest.DigestStr()
	return []Finding{inputs, {"image", There, fmt.Sprintf("%s is %s, of the same inputs", r.tag, r.plan.Digest)}}, nil
}
