package protocol

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// BellecourENS is where iExec's SDK 8 looks for the registry of names on chain 134, whatever
// a configuration says.
var BellecourENS = common.HexToAddress("0x5f5B93fca68c9C79318d1F3868A354EE67D8c006")

// Name is what becomes of a name.
type Name struct {
	At        common.Address // that it leads to; zero: nowhere
	Owner     common.Address // zero: the key that makes it
	Bare      bool           // it has no resolver
	Registrar bool           // iExec's, which gives names below it to whoever asks first, owns it
}

// ENS is where the contracts of names are.
type ENS struct{ Registry, Resolver common.Address }

// ENSAccount is a registry of names that is there from a chain's first block, and whose root
// belongs to an account.
func ENSAccount(a Artifacts, owner common.Address) (account types.Account, err error) {
	const registry = "ENSRegistry"
	for _, folder := range a.v5() {
		path, err := find(folder, registry+".json")
		if err != nil {
			return account, fmt.Errorf("looking for contract %s: %w", registry, err)
		}
		if path == "" {
			continue
		}
		c, err := parse(path, registry)
		if err != nil {
			return account, err
		}
		if account.Code, err = hexutil.Decode(c.runtime); err != nil {
			return account, fmt.Errorf("decoding bytecode of %s: %w", registry, err)
		}
		root := crypto.Keccak256Hash(make([]byte, 64)) // records[0].owner, a mapping in slot 0
		account.Storage = map[common.Hash]common.Hash{root: common.BytesToHash(owner[:])}
		return account, nil
	}
	return account, fmt.Errorf("looking for contract %s: there is none", registry)
}

// DeployENS deploys the registry, the public resolver and the registrar of reverse records
// of ENS, compiled as the npm package of PoCo 5 has them, to a chain, by a key that sent
// nothing yet, and makes names, each with the resolver. iExec's own names are given out by a
// registrar, which sets the same.
func DeployENS(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, names map[string]Name) (ENS, error) {
	d := newDeployer(ctx, client, key, a.v5())
	d.pay()
	registry, _ := d.deploy("ENSRegistry")
	// go-ethereum lets an account that is in no block yet have one transaction waiting.
	if err := d.settle(); err != nil {
		return ENS{}, err
	}
	return d.names(registry, names)
}

// SetUpENS is DeployENS with a registry that is there, whose root belongs to the key.
func SetUpENS(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, registry common.Address, names map[string]Name) (ENS, error) {
	d := newDeployer(ctx, client, key, a.v5())
	d.goOn()
	return d.names(registry, names)
}

// names deploys what stands beside a registry, and makes names.
func (d *deployer) names(registry common.Address, names map[string]Name) (ENS, error) {
	ens := d.read("ENSRegistry").abi
	resolver, addresses := d.deploy("PublicResolver", registry)
	reverse, _ := d.deploy("ReverseRegistrar", registry, resolver)
	d.owned(registry, ens, "addr.reverse", reverse)
	for name, is := range names {
		if is.Registrar {
			continue
		}
		node := d.owned(registry, ens, name, d.from())
		if !is.Bare {
			d.call(registry, ens, "setResolver", node, resolver)
		}
		if is.At != (common.Address{}) {
			d.call(resolver, addresses.abi, "setAddr0", node, is.At) // the one without a kind of coin
		}
		if is.Owner != (common.Address{}) {
			d.call(registry, ens, "setOwner", node, is.Owner)
		}
	}
	for name, is := range names { // which own the domains afterwards
		if is.Registrar {
			registrar, _ := d.deploy("FIFSRegistrar", registry, namehash(name))
			d.owned(registry, ens, name, registrar)
		}
	}
	return ENS{registry, resolver}, d.settle()
}

// owned gives a name to somebody, and those above it to the key.
func (d *deployer) owned(registry common.Address, ens abi.ABI, name string, owner common.Address) (node common.Hash) {
	labels := strings.Split(name, ".")
	for i, label := range slices.Backward(labels) {
		hash, whose := crypto.Keccak256Hash([]byte(label)), d.from()
		if i == 0 {
			whose = owner
		}
		d.call(registry, ens, "setSubnodeOwner", node, hash, whose)
		node = crypto.Keccak256Hash(node[:], hash[:])
	}
	return node
}

func namehash(name string) (node common.Hash) {
	for _, label := range slices.Backward(strings.Split(name, ".")) {
		node = crypto.Keccak256Hash(node[:], crypto.Keccak256([]byte(label)))
	}
	return node
}
