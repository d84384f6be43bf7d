package workerpool

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"github.com/mrelease/mrelease/sandbox/protocol"
)

// Chain is where a pool works.
type Chain struct {
	ID                           uint64
	Hub, WorkerpoolRegistry, RLC common.Address // RLC is zero where it is the chain's coin
	Free                         bool           // transactions have gas price 0
	Client                       *ethclient.Client
}

// contracts are the methods and events that a pool needs of hub, registry, token, apps
// and datasets. What a structure has behind its last field here is not read.
const contracts = `[
  {"type": "function", "name": "createWorkerpool", "inputs": [{"type": "address"}, {"type": "string"}]},
  {"type": "function", "name": "predictWorkerpool", "stateMutability": "view", "inputs": [{"type": "address"}, {"type": "string"}], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "approve", "inputs": [{"type": "address"}, {"type": "uint256"}]},
  {"type": "function", "name": "transfer", "inputs": [{"type": "address"}, {"type": "uint256"}]},
  {"type": "function", "name": "depositForArray", "stateMutability": "payable", "inputs": [{"type": "uint256[]"}, {"type": "address[]"}]},
  {"type": "function", "name": "createCategory", "inputs": [{"type": "string"}, {"type": "string"}, {"type": "uint256"}]},
  {"type": "function", "name": "countCategory", "stateMutability": "view", "inputs": [], "outputs": [{"type": "uint256"}]},
  {"type": "function", "name": "viewCategory", "stateMutability": "view", "inputs": [{"type": "uint256"}], "outputs": [{"type": "tuple", "components": [{"type": "string", "name": "name"}, {"type": "string", "name": "description"}, {"type": "uint256", "name": "workClockTimeRef"}]}]},
  {"type": "function", "name": "viewConsumed", "stateMutability": "view", "inputs": [{"type": "bytes32"}], "outputs": [{"type": "uint256"}]},
  {"type": "function", "name": "initialize", "inputs": [{"type": "bytes32"}, {"type": "uint256"}]},
  {"type": "function", "name": "contribute", "inputs": [{"type": "bytes32"}, {"type": "bytes32"}, {"type": "bytes32"}, {"type": "address"}, {"type": "bytes"}, {"type": "bytes"}]},
  {"type": "function", "name": "reveal", "inputs": [{"type": "bytes32"}, {"type": "bytes32"}]},
  {"type": "function", "name": "finalize", "inputs": [{"type": "bytes32"}, {"type": "bytes"}, {"type": "bytes"}]},
  {"type": "function", "name": "m_appMultiaddr", "stateMutability": "view", "inputs": [], "outputs": [{"type": "bytes"}]},
  {"type": "function", "name": "m_appChecksum", "stateMutability": "view", "inputs": [], "outputs": [{"type": "bytes32"}]},
  {"type": "function", "name": "m_appMREnclave", "stateMutability": "view", "inputs": [], "outputs": [{"type": "bytes"}]},
  {"type": "function", "name": "m_datasetMultiaddr", "stateMutability": "view", "inputs": [], "outputs": [{"type": "bytes"}]},
  {"type": "function", "name": "m_datasetChecksum", "stateMutability": "view", "inputs": [], "outputs": [{"type": "bytes32"}]},
  {"type": "function", "name": "viewDeal", "stateMutability": "view", "inputs": [{"type": "bytes32"}], "outputs": [{"type": "tuple", "components": [
    {"type": "tuple", "name": "app", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "tuple", "name": "dataset", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "tuple", "name": "workerpool", "components": [{"type": "address", "name": "pointer"}, {"type": "address", "name": "owner"}, {"type": "uint256", "name": "price"}]},
    {"type": "uint256", "name": "trust"}, {"type": "uint256", "name": "category"}, {"type": "bytes32", "name": "tag"},
    {"type": "address", "name": "requester"}, {"type": "address", "name": "beneficiary"}, {"type": "address", "name": "callback"}, {"type": "string", "name": "params"},
    {"type": "uint256", "name": "startTime"}, {"type": "uint256", "name": "botFirst"}, {"type": "uint256", "name": "botSize"}]}]},
  {"type": "event", "name": "SchedulerNotice", "inputs": [{"type": "address", "name": "workerpool", "indexed": true}, {"type": "bytes32", "name": "dealid"}]}
]`

func parseContracts() (abi.ABI, error) {
	parsed, err := abi.JSON(strings.NewReader(contracts))
	if err != nil {
		return abi.ABI{}, fmt.Errorf("parsing ABI: %w", err)
	}
	return parsed, nil
}

// Resource is an app, a dataset or a pool in a deal.
type Resource struct {
	Pointer, Owner common.Address
	Price          *big.Int // nRLC
}

// Deal is IexecLibCore_v5.Deal, up to what a pool needs of it.
type Deal struct {
	App, Dataset, Workerpool         Resource
	Trust, Category                  *big.Int
	Tag                              [32]byte
	Requester, Beneficiary, Callback common.Address
	Params                           string
	StartTime, BotFirst, BotSize     *big.Int
}

// node is a chain as a pool uses it.
type node struct {
	Chain
	abi abi.ABI
}

func newNode(c Chain) (*node, error) {
	parsed, err := parseContracts()
	return &node{c, parsed}, err
}

// isNative says that RLC is the chain's coin.
func (n *node) isNative() bool { return n.RLC == common.Address{} }

func (n *node) at(contract common.Address) *bind.BoundContract {
	return bind.NewBoundContract(contract, n.abi, n.Client, n.Client, n.Client)
}

// read makes a call that answers one value.
func read[T any](ctx context.Context, n *node, contract common.Address, method string, args ...any) (T, error) {
	var out []any
	var value T
	if err := n.at(contract).Call(&bind.CallOpts{Context: ctx}, &out, method, args...); err != nil {
		return value, fmt.Errorf("calling %s: %w", method, err)
	}
	return *abi.ConvertType(out[0], new(T)).(*T), nil
}

// account sends transactions, one after the other.
type account struct {
	node    *node
	key     *ecdsa.PrivateKey
	address common.Address
	gas     uint64 // limit of a transaction; 0: what it takes, asked of the chain

	mu   sync.Mutex // a nonce is taken once
	next uint64     // nonce: the node counts a transaction only some time after it took it
}

func newAccount(n *node, key *ecdsa.PrivateKey) *account {
	return &account{node: n, key: key, address: crypto.PubkeyToAddress(key.PublicKey)}
}

// call is a call of a contract, or coins for an account when it has no method.
type call struct {
	to     common.Address
	value  *big.Int // coins; nil: none
	method string
	args   []any
}

// act calls a method in a transaction and waits until it has succeeded.
func (a *account) act(ctx context.Context, contract common.Address, method string, args ...any) error {
	return a.all(ctx, call{to: contract, method: method, args: args})
}

// all makes calls in transactions, one after the other, and waits until they have
// succeeded. Only an account with a limit of gas can make one that needs those before it.
func (a *account) all(ctx context.Context, calls ...call) error {
	var sent []common.Hash
	for _, c := range calls {
		tx, err := a.send(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.method, err)
		}
		sent = append(sent, tx)
	}
	for i, tx := range sent {
		if err := a.node.wait(ctx, tx); err != nil {
			return fmt.Errorf("%s: %w", calls[i].method, err)
		}
	}
	return nil
}

func (a *account) send(ctx context.Context, c call) (common.Hash, error) {
	opts := bind.NewKeyedTransactor(a.key, new(big.Int).SetUint64(a.node.ID))
	opts.Context, opts.Value, opts.GasLimit = ctx, c.value, a.gas
	var data []byte
	var err error
	if c.method == "" {
		opts.GasLimit = params.TxGas
	} else if data, err = a.node.abi.Pack(c.method, c.args...); err != nil {
		return common.Hash{}, err
	}
	if a.node.Free {
		opts.GasPrice = new(big.Int)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	counted, err := a.node.Client.PendingNonceAt(ctx, a.address)
	if err != nil {
		return common.Hash{}, fmt.Errorf("reading nonce: %w", err)
	}
	nonce := max(counted, a.next)
	opts.Nonce = new(big.Int).SetUint64(nonce)
	tx, err := a.node.at(c.to).RawTransact(opts, data)
	if err != nil {
		return common.Hash{}, err
	}
	a.next = nonce + 1
	return tx.Hash(), nil
}

// wait waits for a transaction, which must have succeeded.
func (n *node) wait(ctx context.Context, tx common.Hash) error {
	receipt, err := protocol.Mined(ctx, n.Client, tx)
	if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
		err = errors.New("the transaction was reverted")
	}
	return err
}

// sign signs packed words as the contracts check it: an EIP-191 message over their hash.
func sign(key *ecdsa.PrivateKey, words ...[]byte) ([]byte, error) {
	signature, err := crypto.Sign(accounts.TextHash(crypto.Keccak256(words...)), key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signature[crypto.RecoveryIDOffset] += 27
	return signature, nil
}
