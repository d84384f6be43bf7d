package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// older is cosign's layout before bundles. A signature is a layer with a text that
// names the image's digest (cosign's simple signing), and the signature of the text is
// an annotation of the layer. An attestation is a layer with a DSSE envelope.
type older struct {
	*session
	image name.Digest
}

const (
	signatureSuffix   = ".sig"
	attestationSuffix = ".att"
	// The annotations of a layer, as cosign has them.
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	predicateAnnotation = "predicateType"

	simpleSigning = "cosign container image signature"
)

// claim is the text that is signed.
type claim struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

func (o older) sign(ctx context.Context, signer signing.Signer, said statement, data []byte) (kept, error) {
	if said.PredicateType == cosigntypes.CosignSignPredicateType {
		var c claim
		c.Critical.Identity.Reference, c.Critical.Image.Digest, c.Critical.Type = o.image.Repository.Name(), o.image.DigestStr(), simpleSigning
		text, err := json.Marshal(c)
		if err != nil {
			return kept{}, err
		}
		signature, _, err := signer.SignData(ctx, text)
		return kept{text, said.PredicateType, base64.StdEncoding.EncodeToString(signature)}, err
	}
	signature, _, err := signer.SignData(ctx, dsse.PAE(cosigntypes.IntotoPayloadType, data))
	if err != nil {
		return kept{}, err
	}
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: cosigntypes.IntotoPayloadType, Payload: base64.StdEncoding.EncodeToString(data),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(signature)}},
	})
	return kept{content: envelope, predicateType: said.PredicateType}, err
}

// add writes each of the two tags once at most.
func (o older) add(ctx context.Context, all []kept) error {
	for suffix, kind := range map[string]types.MediaType{signatureSuffix: cosigntypes.SimpleSigningMediaType, attestationSuffix: cosigntypes.DssePayloadType} {
		var layers []mutate.Addendum
		for _, k := range all {
			if isSignature := k.predicateType == cosigntypes.CosignSignPredicateType; isSignature != (suffix == signatureSuffix) {
				continue
			}
			notes := map[string]string{signatureAnnotation: k.signature}
			if suffix == attestationSuffix {
				notes[predicateAnnotation] = k.predicateType
			}
			layers = append(layers, mutate.Addendum{Layer: static.NewLayer(k.content, kind), Annotations: notes})
		}
		if err := o.append(ctx, tagOf(o.image, suffix), layers); err != nil {
			return err
		}
	}
	return nil
}

// append adds layers to the image under a tag, unless they are there.
func (o older) append(ctx context.Context, tag name.Tag, layers []mutate.Addendum) error {
	image, err := o.under(ctx, tag)
	if err != nil {
		return err
	}
	if image == nil {
		image = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range manifest.Layers {
		there[manifest.Layers[i].Digest.String()+manifest.Layers[i].Annotations[signatureAnnotation]] = true
	}
	var missing []mutate.Addendum
	for i := range layers {
		digest, err := layers[i].Layer.Digest()
		if err != nil {
			return err
		}
		if !there[digest.String()+layers[i].Annotations[signatureAnnotation]] {
			missing = append(missing, layers[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if image, err = mutate.Append(image, missing...); err != nil {
		return err
	}
	return remote.Write(tag, image, o.opts...)
}

// under returns the image under a tag; nil for none.
func (o older) under(ctx context.Context, tag name.Tag) (v1.Image, error) {
	there, err := o.find(ctx, tag)
	if err != nil || there == nil {
		return nil, err
	}
	return imageOf(there)
}

func (o older) read(ctx context.Context, party signing.Party, s *Statements) error {
	for _, suffix := range []string{signatureSuffix, attestationSuffix} {
		if signed, _ := s.of(cosigntypes.CosignSignPredicateType); suffix == signatureSuffix && len(signed) > 0 {
			continue // it was found in a bundle, and nothing but signatures is here
		}
		image, err := o.under(ctx, tagOf(o.image, suffix))
		if err != nil {
			return err
		}
		if image == nil {
			continue
		}
		manifest, err := image.Manifest()
		if err != nil {
			return fmt.Errorf("reading manifest: %w", err)
		}
		o.readLayers(manifest.Layers, suffix, party, s)
	}
	return nil
}

// readLayers adds what the layers state, first of those that a release may have made. One
// that cannot be read or does not verify is counted and does no harm.
func (o older) readLayers(layers []v1.Descriptor, suffix string, party signing.Party, s *Statements) {
	likely, others := partition(layers, func(d v1.Descriptor) bool { return mayBeOfRelease(d.Annotations[predicateAnnotation]) })
	for i, d := range slices.Concat(likely, others) {
		if i == bounds.Referrers {
			s.Beyond += len(layers) - i
			s.hidden += max(0, len(likely)-i)
			return
		}
		blob := o.Digest(d.Digest.String())
		content, err := o.content(d, bounds.Bundle)
		if err != nil {
			s.unreadable(blob, err)
			continue
		}
		verify := verifyEnvelope
		if suffix == signatureSuffix {
			verify = verifyClaim(d)
		}
		said, err := verify(content, o.image, party)
		if err != nil {
			s.Others++
			s.because(err)
			continue
		}
		said.proof = proof{content, verify}
		s.verified = append(s.verified, said)
	}
}

func partition(all []v1.Descriptor, is func(v1.Descriptor) bool) (those, others []v1.Descriptor) {
	for _, d := range all {
		if is(d) {
			those = append(those, d)
		} else {
			others = append(others, d)
		}
	}
	return those, others
}

// verifyClaim returns what checks a layer's signature of cosign's text about an image.
func verifyClaim(d v1.Descriptor) verifier {
	return func(text []byte, image name.Digest, party signing.Party) (s statement, err error) {
		if err := party.Verify(d.Annotations[signatureAnnotation], text); err != nil {
			return s, err
		}
		return readClaim(text, image)
	}
}

func readClaim(text []byte, image name.Digest) (s statement, err error) {
	if err := bounds.CheckJSON(text); err != nil {
		return s, fmt.Errorf("parsing signature: %w", err)
	}
	var c claim
	if err := json.Unmarshal(text, &c); err != nil {
		return s, fmt.Errorf("parsing signature: %w", err)
	}
	if c.Critical.Type != simpleSigning || c.Critical.Image.Digest != image.DigestStr() {
		return s, fmt.Errorf("verifying signature: it is of %q, a %q", c.Critical.Image.Digest, c.Critical.Type)
	}
	return statement{PredicateType: cosigntypes.CosignSignPredicateType, Predicate: json.RawMessage("{}")}, nil
}

// verifyEnvelope checks an envelope with a statement about the image.
func verifyEnvelope(raw []byte, image name.Digest, party signing.Party) (s statement, err error) {
	if err := bounds.CheckJSON(raw); err != nil {
		return s, fmt.Errorf("parsing envelope: %w", err)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return s, fmt.Errorf("parsing envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return s, fmt.Errorf("parsing envelope: %w", err)
	}
	if e.PayloadType != cosigntypes.IntotoPayloadType || len(e.Signatures) != 1 {
		return s, fmt.Errorf("verifying envelope: it holds %q with %d signatures, want a statement with one", e.PayloadType, len(e.Signatures))
	}
	if err := party.Verify(e.Signatures[0].Sig, dsse.PAE(e.PayloadType, payload)); err != nil {
		return s, err
	}
	if err := bounds.CheckJSON(payload); err != nil {
		return s, fmt.Errorf("parsing statement: %w", err)
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return s, fmt.Errorf("parsing statement: %w", err)
	}
	if !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/v") || !s.about(image) {
		return statement{}, errors.New("verifying envelope: its statement is not about the image")
	}
	return s, nil
}

// about reports whether the image is a subject.
func (s statement) about(image name.Digest) bool {
	return slices.ContainsFunc(s.Subject, func(of subject) bool { return "sha256:"+of.Digest["sha256"] == image.DigestStr() })
}
