package protocol

import (
	"context"
	"crypto/ecdsa"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// DeployTool deploys a contract with which PoCo 6 itself is tested, such as ERC734Mock, which
// is a group of addresses, and TestClient, which takes callbacks; by a key that sent nothing
// yet.
func DeployTool(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, name string) (common.Address, abi.ABI, error) {
	d := newDeployer(ctx, client, key, a.v6())
	at, c := d.deploy(name)
	return at, c.abi, d.settle()
}
