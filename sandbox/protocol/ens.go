package protocol

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// DeployENS deploys the registry and the public resolver of ENS, compiled as the npm package
// of PoCo 5 has them, to a chain without fees, by a key that sent nothing yet. Each name
// leads to the resolver, which has its address unless that is zero. iExec's own names are
// given out by a registrar, which sets the same.
func DeployENS(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, names map[string]common.Address) (registry common.Address, err error) {
	d := newDeployer(ctx, client, key, a.v5())
	d.free = true
	registry, ens := d.deploy("ENSRegistry")
	// go-ethereum lets an account that is in no block yet have one transaction waiting.
	if err := d.settle(); err != nil {
		return registry, err
	}
	resolver, addresses := d.deploy("PublicResolver", registry)
	for name, at := range names {
		var node common.Hash
		for _, label := range slices.Backward(strings.Split(name, ".")) {
			hash := crypto.Keccak256Hash([]byte(label))
			d.call(registry, ens.abi, "setSubnodeOwner", node, hash, d.from())
			node = crypto.Keccak256Hash(node[:], hash[:])
		}
		d.call(registry, ens.abi, "setResolver", node, resolver)
		if at != (common.Address{}) {
			d.call(resolver, addresses.abi, "setAddr0", node, at) // the one without a kind of coin
		}
	}
	return registry, d.settle()
}
