package protocol

import (
	"context"
	"crypto/ecdsa"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// DeployGroup deploys an ERC-734 contract, which orders can be restricted to, and of which
// manager has the management key: OnchainID's Identity, as its npm package has it compiled.
// iExec publishes no contract of its own for groups.
func DeployGroup(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, manager common.Address) (common.Address, error) {
	d := newDeployer(ctx, client, key, []string{a.join("@onchain-id/solidity/artifacts/contracts")})
	d.goOn()
	at, _ := d.deploy("Identity", manager, false) // no library
	return at, d.settle()
}
