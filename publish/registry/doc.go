// Package registry is for whoever publishes images, or checks what was published:
// it pushes images to container registries, and signs and attests
// them there as cosign does, each act beside its check.
//
// An image is pushed under the tag of its release, which is written once. A
// second run of the same release finds the image by that tag and knows it by
// the inputs digest in its manifest; another release under the same tag is
// refused.
package registry
