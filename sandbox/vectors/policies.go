package vectors

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
)

// policies are files that say what is accepted.
func policies() map[string]string {
	owner, stranger := crypto.PubkeyToAddress(world.Key(ownerAccount).PublicKey), crypto.PubkeyToAddress(world.Key(strangerAccount).PublicKey)
	return map[string]string{
		"all.yaml":        fmt.Sprintf("owners: [%q, %q]\nsigners: [{key: theirs.pub}, {key: ours.pub}]\nmax-price: 7\n", stranger, owner),
		"owner.yaml":      fmt.Sprintf("owners: [%q]\n", stranger),
		"signer.yaml":     "signers: [{key: theirs.pub}]\n",
		"repository.yaml": "repositories: [ghcr.io/acme/*]\n",
		"price.yaml":      "max-price: 6\n",
		"require.yaml":    "require: [SBOM]\n",
		"enclave.yaml":    fmt.Sprintf("enclave: {signers: [\"%064d\"]}\n", 1),
		"nothing.yaml":    "owners: []\n",
		"unknown.yaml":    "owners: []\npublishers: []\n",
	}
}

// accepted adds vectors that are right, and of which a policy says what is accepted.
func (s *set) accepted(b base) error {
	refused := refused(40, badPolicy, record.PolicyCheck)
	malformed := Want{Exit: exitUsage, Code: "E-CONFIG"}
	var errs []error
	for _, c := range []struct {
		clause, says, file string
		want               Want
	}{
		{"17.1", "a policy that accepts owner, signer and price", "all.yaml", accepted()},
		{"17.1", "a policy with another owner", "owner.yaml", refused},
		{"17.1", "a policy with another repository", "repository.yaml", refused},
		{"17.1", "a policy with a lower price", "price.yaml", refused},
		{"17.1", "a policy that wants an enclave of somebody", "enclave.yaml", refused},
		{"17.2", "a policy with another signer", "signer.yaml", refused},
		{"17.3", "a policy that requires what is not there", "require.yaml", refused},
		{"17.5", "a policy that says nothing", "nothing.yaml", malformed},
		{"17.5", "a policy with an unknown key", "unknown.yaml", malformed},
	} {
		errs = append(errs, s.add(c.clause, c.says, b, c.want, "--policy", c.file))
	}
	return errors.Join(errs...)
}
