package release

import "context"

// push pushes the image under the release's tag, if its signature can be found then.
// What is there of it is seen with the inputs.
func (r *run) push(ctx context.Context) (evidence string, err error) {
	if !r.image.found {
		if r.place, err = r.Registry.Prove(ctx, r.tag.Repository); err != nil {
			return "", err
		}
	}
	r.image.digest, err = r.Registry.Push(ctx, r.tag, r.image.Image)
	return r.note("push", !r.image.found, r.image.digest.Name()), err
}
