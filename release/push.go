package release

import "context"

// push pushes the image under the release's tag. What is there of it is seen with
// the inputs.
func (r *run) push(ctx context.Context) (evidence string, err error) {
	r.image.digest, err = r.Registry.Push(ctx, r.tag, r.image.Image)
	return r.note("push", !r.image.found, r.image.digest.Name()), err
}
