package release

import (
	"context"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
)

// measure measures the image, and applies the rules for what may be released.
func (r *run) measure(ctx context.Context) (string, error) {
	spec := r.Settings.Enclave.Spec()
	spec.Log = r.image.log
	var err error
	if spec.Claim, err = Claim(r.image.Image); err != nil {
		return "", err
	}
	if r.enclave.Enclave, err = r.maker().Measure(ctx, r.image.Image, spec); err != nil {
		return "", err
	}
	if err := r.enclave.Basis.Check(r.Settings.Enclave.Trust); err != nil {
		return "", err
	}
	r.enclave.known = true
	if r.Settings.Attest.SBOM == "" {
		go r.stopBuilder() // it has done its part
	}
	if err := r.checkSignature(); err != nil || r.enclave.Portable || r.image.found {
		return "", err
	}
	r.image.Image = mutate.Annotations(r.image.Image, map[string]string{registry.FingerprintAnnotation: r.enclave.Value}).(v1.Image)
	return "", r.readDigest()
}

// Claim returns the fingerprint that an image's manifest states: what its build
// printed, where the image has no fingerprint file. It is empty for none.
func Claim(image v1.Image) (string, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return "", fmt.Errorf("reading manifest: %w", err)
	}
	return manifest.Annotations[registry.FingerprintAnnotation], nil
}

// checkSignature applies the rules to an enclave that is signed.
func (r *run) checkSignature() error {
	if r.enclave.Signature == nil {
		return nil
	}
	policy, err := r.Settings.Enclave.Policy()
	if err != nil {
		return err
	}
	if r.accepted != nil {
		if policy.MinISVSVN, err = r.accepted.SecurityVersion(); err != nil {
			return err
		}
	}
	return policy.Check(r.enclave.Signature)
}

// readMeasurement takes what an image that is there states of its measurement. A release measures it.
func (r *run) readMeasurement(ctx context.Context) ([]Finding, error) {
	spec := r.Settings.Enclave.Spec()
	r.enclave.Enclave = measure.Unmeasured(spec)
	var demanded []Finding
	if spec.Format != measure.None {
		demanded = []Finding{{"measure", Note, fmt.Sprintf("the measurement must be %s or better (enclave.trust); a release finds out what it rests on", r.Settings.Enclave.Trust)}}
	}
	if r.image.Image == nil {
		r.image.digest = r.tag.Digest("sha256:" + strings.Repeat("f", 64)) // stands for one
		return demanded, nil
	}
	var err error
	if spec.Claim, err = Claim(r.image.Image); err != nil {
		return nil, err
	}
	stated, known, err := measure.Stated(ctx, r.image.Image, spec)
	if known {
		r.enclave = enclaveState{stated, true}
	}
	return demanded, err
}
