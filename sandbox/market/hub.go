package market

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// The parts of the hub, the registries and the resources that the market asks. Since PoCo 6
// a deal has a sponsor at its end, which the market leaves out.
const contracts = `[
  {"type": "function", "name": "appregistry", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "datasetregistry", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "workerpoolregistry", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "isRegistered", "stateMutability": "view", "inputs": [{"type": "address"}], "outputs": [{"type": "bool"}]},
  {"type": "function", "name": "owner", "stateMutability": "view", "inputs": [], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "viewConsumed", "stateMutability": "view", "inputs": [{"type": "bytes32"}], "outputs": [{"type": "uint256"}]},
  {"type": "function", "name": "verifySignature", "stateMutability": "view", "inputs": [{"type": "address"}, {"type": "bytes32"}, {"type": "bytes"}], "outputs": [{"type": "bool"}]},
  {"type": "function", "name": "viewAccount", "stateMutability": "view", "inputs": [{"type": "address"}], "outputs": [{"type": "uint256", "name": "stake"}, {"type": "uint256", "name": "locked"}]},
  {"type": "function", "name": "viewDeal", "stateMutability": "view", "inputs": [{"type": "bytes32"}], "outputs": [{"type": "tuple", "components": [
    {"type": "tuple", "name": "app", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "tuple", "name": "dataset", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "tuple", "name": "workerpool", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "uint256", "name": "trust"}, {"type": "uint256", "name": "category"}, {"type": "bytes32", "name": "tag"},
    {"type": "address", "name": "requester"}, {"type": "address", "name": "beneficiary"}, {"type": "address", "name": "callback"}, {"type": "string", "name": "params"},
    {"type": "uint256", "name": "startTime"}, {"type": "uint256", "name": "botFirst"}, {"type": "uint256", "name": "botSize"},
    {"type": "uint256", "name": "workerStake"}, {"type": "uint256", "name": "schedulerRewardRatio"}]}]},
  {"type": "function", "name": "viewCategory", "stateMutability": "view", "inputs": [{"type": "uint256"}], "outputs": [{"type": "tuple", "components": [{"type": "string", "name": "name"}, {"type": "string", "name": "description"}, {"type": "uint256", "name": "workClockTimeRef"}]}]}
]`

// hub asks one chain's contracts.
type hub struct {
	id      uint64
	address common.Address
	client  *ethclient.Client
	abi     abi.ABI
}

func newHub(c Chain) *hub {
	parsed, err := abi.JSON(strings.NewReader(contracts))
	if err != nil { // compiled in, and run by every test
		panic("market: parsing ABI: " + err.Error())
	}
	return &hub{c.ID, c.Hub, c.Client, parsed}
}

// ask makes a read-only call that answers one value.
func ask[T any](ctx context.Context, h *hub, at common.Address, method string, args ...any) (T, error) {
	var out []any
	var value T
	if err := bind.NewBoundContract(at, h.abi, h.client, h.client, h.client).Call(&bind.CallOpts{Context: ctx}, &out, method, args...); err != nil {
		return value, fmt.Errorf("calling %s: %w", method, err)
	}
	return *abi.ConvertType(out[0], new(T)).(*T), nil
}

// signer returns who must have signed an order: the owner of what is sold, or
// the requester. Its error is a refusal when nothing is registered there.
func (h *hub) signer(ctx context.Context, o *order) (common.Address, error) {
	resource := common.HexToAddress(o.text(o.kind.resource))
	if o.kind.registry == "" {
		return resource, nil
	}
	registry, err := ask[common.Address](ctx, h, h.address, o.kind.registry)
	if err != nil {
		return common.Address{}, err
	}
	registered, err := ask[bool](ctx, h, registry, "isRegistered", resource)
	if err != nil {
		return common.Address{}, err
	}
	if !registered {
		return common.Address{}, forbidden("Resource not deployed")
	}
	return ask[common.Address](ctx, h, resource, "owner")
}

// remaining returns how much of an order's volume is left.
func (h *hub) remaining(ctx context.Context, o *order, hash string) (uint64, error) {
	consumed, err := ask[*big.Int](ctx, h, h.address, "viewConsumed", common.HexToHash(hash))
	if err != nil {
		return 0, err
	}
	volume := new(big.Int).SetUint64(o.amount("volume"))
	if consumed.Cmp(volume) >= 0 {
		return 0, nil
	}
	return volume.Sub(volume, consumed).Uint64(), nil
}

func (h *hub) verify(ctx context.Context, signer common.Address, hash, sign string) (bool, error) {
	signature, err := hexutil.Decode(strings.ToLower(sign))
	if err != nil {
		return false, fmt.Errorf("decoding signature: %w", err)
	}
	return ask[bool](ctx, h, h.address, "verifySignature", signer, common.HexToHash(hash), signature)
}

func (h *hub) stake(ctx context.Context, account common.Address) (*big.Int, error) {
	return ask[*big.Int](ctx, h, h.address, "viewAccount", account)
}

// closed reports whether an order was closed, in contrast to used up.
func (h *hub) closed(ctx context.Context, o *order, hash string) (bool, error) {
	logs, err := h.logs(ctx, "Closed"+o.kind.typ+"(bytes32)", 0, nil)
	for _, l := range logs {
		if common.BytesToHash(l.Data) == common.HexToHash(hash) {
			return true, nil
		}
	}
	return false, err
}

// givenAway reports whether a signer gave a resource to somebody else after a block.
func (h *hub) givenAway(ctx context.Context, o *order, signer common.Address, since uint64) (bool, error) {
	if o.kind.registry == "" {
		return false, nil
	}
	registry, err := ask[common.Address](ctx, h, h.address, o.kind.registry)
	if err != nil {
		return false, err
	}
	logs, err := h.client.FilterLogs(ctx, ethereum.FilterQuery{
		FromBlock: new(big.Int).SetUint64(since), Addresses: []common.Address{registry},
		Topics: [][]common.Hash{
			{crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))},
			{common.BytesToHash(signer[:])}, nil, {common.BytesToHash(common.HexToAddress(o.text(o.kind.resource)).Bytes())},
		},
	})
	if err != nil {
		return false, fmt.Errorf("reading transfers: %w", err)
	}
	return slices.ContainsFunc(logs, func(l types.Log) bool { return l.BlockNumber > since && l.Topics[2] != l.Topics[1] }), nil
}

// logs returns the events of a signature that the hub emitted in the blocks from one to
// another; nil: to the last one.
func (h *hub) logs(ctx context.Context, signature string, from uint64, to *big.Int) ([]types.Log, error) {
	logs, err := h.client.FilterLogs(ctx, ethereum.FilterQuery{
		FromBlock: new(big.Int).SetUint64(from), ToBlock: to, Addresses: []common.Address{h.address},
		Topics: [][]common.Hash{{crypto.Keccak256Hash([]byte(signature))}},
	})
	if err != nil {
		return nil, fmt.Errorf("reading events %s: %w", signature, err)
	}
	return logs, nil
}

// Owner asks a chain who owns an app, a dataset or a workerpool.
func Owner(ctx context.Context, client *ethclient.Client, contract common.Address) (common.Address, error) {
	return ask[common.Address](ctx, newHub(Chain{Client: client}), contract, "owner")
}
