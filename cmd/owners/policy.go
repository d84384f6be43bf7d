package owners

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/settings"
)

// Anchors are what a verification rests on by the word of whoever verifies.
type Anchors struct {
	signer record.Signer
	trust  measure.Trust
	bases  []v1.Hash
	policy *record.Policy
}

// Hold has a verification rest on them.
func (a Anchors) Hold(w *record.World) {
	w.Signer, w.Trust, w.Bases, w.Policy = a.signer, a.trust, a.bases, a.policy
}

// readPolicy reads a policy and the files that it names.
func readPolicy(file string) (a Anchors, err error) {
	said, err := settings.ReadPolicy(file)
	if err != nil {
		return a, err
	}
	if a.bases, err = record.ParseBases(said.Enclave.Bases); err != nil {
		return a, err
	}
	if a.signer, err = (record.Trusted{Root: string(said.Root)}).Read(); err != nil {
		return a, err
	}
	a.trust = said.Enclave.Trust
	a.policy = &record.Policy{Name: file, Owners: said.Owners, Repositories: said.Repositories, SVN: uint16(said.Enclave.SVN), Require: said.Require, MaxPrice: said.MaxPrice}
	for _, text := range said.Enclave.Signers {
		var signer sgx.MRSIGNER
		if err := signer.UnmarshalText([]byte(text)); err != nil {
			return a, err
		}
		a.policy.MRSIGNERs = append(a.policy.MRSIGNERs, signer)
	}
	var wrong settings.Error
	for i, s := range said.Signers {
		signer, err := readSigner(s, a.signer)
		if err != nil {
			wrong.Problems = append(wrong.Problems, settings.Problem{Where: file, Key: fmt.Sprintf("signers[%d].key", i), Text: err.Error(), Cure: "name the file of a public key, in PEM, as cosign writes it"})
		}
		a.policy.Signers = append(a.policy.Signers, signer)
	}
	if wrong.Problems != nil {
		return a, &wrong
	}
	return a, nil
}

// readSigner reads one of a policy's signers; root has the authorities that certify.
func readSigner(s settings.AcceptedSigner, root record.Signer) (record.Signer, error) {
	if s.Key == "" {
		root.Identity = signing.Identity{Subject: s.Identity, Issuer: string(s.Issuer)}
		return root, nil
	}
	pem, err := bounds.ReadFile(string(s.Key), bounds.Key)
	if err == nil {
		_, err = signing.ParsePublicKey(string(pem))
	}
	if err != nil {
		return record.Signer{}, fmt.Errorf("%s: %w", s.Key, err)
	}
	return record.Signer{PublicKey: string(pem), Name: string(s.Key)}, nil
}
