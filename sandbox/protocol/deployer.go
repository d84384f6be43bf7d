package protocol

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// deployer sends one transaction after the other and stops at the first error,
// so that a deployment reads as the list of its steps.
type deployer struct {
	ctx     context.Context // of one deployment; a deployer does not outlive it
	client  *ethclient.Client
	key     *ecdsa.PrivateKey
	chainID *big.Int
	nonce   uint64
	folders []string
	lib     common.Address
	free    bool
	sent    []*types.Transaction
	err     error
}

func newDeployer(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, folders []string) *deployer {
	d := &deployer{ctx: ctx, client: client, key: key, folders: folders}
	d.chainID, d.err = client.ChainID(ctx)
	return d
}

// pay finds out whether the chain takes transactions for nothing: then its base fee is 0.
func (d *deployer) pay() {
	if d.err != nil {
		return
	}
	head, err := d.client.HeaderByNumber(d.ctx, nil)
	if d.err = err; err == nil {
		d.free = head.BaseFee != nil && head.BaseFee.Sign() == 0
	}
}

// goOn is pay for a key that sent transactions before.
func (d *deployer) goOn() {
	d.pay()
	if d.err == nil {
		d.nonce, d.err = d.client.PendingNonceAt(d.ctx, d.from())
	}
}

func (d *deployer) from() common.Address { return crypto.PubkeyToAddress(d.key.PublicKey) }

func (d *deployer) read(name string) contract {
	if d.err != nil {
		return contract{}
	}
	c, err := read(d.folders, name)
	d.err = err
	return c
}

// deploy creates a contract; its address follows from the sender and the nonce.
func (d *deployer) deploy(name string, args ...any) (common.Address, contract) {
	c := d.read(name)
	if d.err != nil {
		return common.Address{}, c
	}
	code, err := c.code(d.lib)
	if err != nil {
		d.err = err
		return common.Address{}, c
	}
	packed, err := c.abi.Pack("", args...)
	if err != nil {
		d.err = fmt.Errorf("packing constructor of %s: %w", name, err)
		return common.Address{}, c
	}
	address := crypto.CreateAddress(d.from(), d.nonce)
	d.send("deploying "+name, nil, append(code, packed...))
	return address, c
}

func (d *deployer) call(at common.Address, itf abi.ABI, method string, args ...any) {
	if d.err != nil {
		return
	}
	data, err := itf.Pack(method, args...)
	if err != nil {
		d.err = fmt.Errorf("packing %s: %w", method, err)
		return
	}
	d.send("calling "+method, &at, data)
}

// deploymentGas is a limit that every step fits in.
const deploymentGas = 6_000_000

func (d *deployer) send(act string, to *common.Address, data []byte) {
	if d.err != nil {
		return
	}
	price := big.NewInt(10_000_000_000)
	if d.free {
		price = new(big.Int)
	}
	tx := types.NewTx(&types.LegacyTx{Nonce: d.nonce, To: to, Data: data, Gas: deploymentGas, GasPrice: price})
	signed, err := types.SignTx(tx, types.LatestSignerForChainID(d.chainID), d.key)
	if err == nil {
		err = d.client.SendTransaction(d.ctx, signed)
	}
	if err != nil {
		d.err = fmt.Errorf("%s: %w", act, err)
		return
	}
	d.nonce++
	d.sent = append(d.sent, signed)
}

// settle waits for all transactions; one that reverted is an error.
func (d *deployer) settle() error {
	for i, tx := range d.sent {
		receipt, err := Mined(d.ctx, d.client, tx.Hash())
		if d.err != nil || err != nil {
			return errors.Join(d.err, err)
		}
		if receipt.Status != types.ReceiptStatusSuccessful {
			return fmt.Errorf("step %d of the deployment reverted (gas used: %d)", i+1, receipt.GasUsed)
		}
	}
	d.sent = nil
	return d.err
}
