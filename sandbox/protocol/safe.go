package protocol

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
)

// Safe is a wallet of several owners, all of whom must sign: Safe's own contracts of version
// 1.4.1, as their npm package has them compiled.
type Safe struct {
	Address   common.Address
	multiSend common.Address // MultiSendCallOnly, through which its interface executes a batch
	owners    []*ecdsa.PrivateKey
	artifacts []string
}

// Call is what a Safe is to call.
type Call struct {
	To   common.Address
	Data []byte
}

// DeploySafe deploys a Safe of these owners, with the contracts that it needs.
func DeploySafe(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts, owners ...*ecdsa.PrivateKey) (Safe, error) {
	s := Safe{owners: slices.Clone(owners), artifacts: []string{a.join("@safe-global/safe-contracts/build/artifacts/contracts")}}
	slices.SortFunc(s.owners, func(a, b *ecdsa.PrivateKey) int {
		return crypto.PubkeyToAddress(a.PublicKey).Cmp(crypto.PubkeyToAddress(b.PublicKey))
	})
	var addresses []common.Address
	for _, owner := range s.owners {
		addresses = append(addresses, crypto.PubkeyToAddress(owner.PublicKey))
	}
	d := newDeployer(ctx, client, key, s.artifacts)
	d.goOn()
	singleton, safe := d.deploy("Safe")
	if err := d.settle(); err != nil { // geth's pool takes one transaction at a time of an account that is not there yet
		return s, err
	}
	factory, makes := d.deploy("SafeProxyFactory")
	handler, _ := d.deploy("CompatibilityFallbackHandler")
	s.multiSend, _ = d.deploy("MultiSendCallOnly")
	proxy := d.read("SafeProxy")
	if d.err != nil {
		return s, d.err
	}
	setup, err := safe.abi.Pack("setup", addresses, big.NewInt(int64(len(owners))), common.Address{}, []byte{}, handler, common.Address{}, new(big.Int), common.Address{})
	if err != nil {
		return s, fmt.Errorf("packing setup: %w", err)
	}
	code, err := proxy.code(common.Address{})
	if err != nil {
		return s, err
	}
	d.call(factory, makes.abi, "createProxyWithNonce", singleton, setup, new(big.Int))
	salt := crypto.Keccak256Hash(crypto.Keccak256(setup), make([]byte, 32))
	s.Address = crypto.CreateAddress2(factory, salt, crypto.Keccak256(code, common.LeftPadBytes(singleton[:], 32)))
	return s, d.settle()
}

// Execute has the Safe make the calls in one transaction, signed by all owners and sent by
// whoever has the key.
func (s Safe) Execute(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, calls ...Call) error {
	d := newDeployer(ctx, client, key, s.artifacts)
	d.goOn()
	safe, multi := d.abi("Safe"), d.abi("MultiSendCallOnly")
	if d.err != nil {
		return d.err
	}
	data, err := multi.Pack("multiSend", batch(calls))
	if err != nil {
		return fmt.Errorf("packing multiSend: %w", err)
	}
	nonce, err := ask[*big.Int](ctx, client, s.Address, safe, "nonce")
	if err != nil {
		return err
	}
	const delegate = uint8(1) // which MultiSend wants
	none := common.Address{}
	args := []any{s.multiSend, new(big.Int), data, delegate, new(big.Int), new(big.Int), new(big.Int), none, none}
	hash, err := ask[[32]byte](ctx, client, s.Address, safe, "getTransactionHash", append(slices.Clone(args), nonce)...)
	if err != nil {
		return err
	}
	var signatures []byte
	for _, owner := range s.owners { // in the order of their addresses
		signature, err := crypto.Sign(hash[:], owner)
		if err != nil {
			return fmt.Errorf("signing as owner of the Safe: %w", err)
		}
		signature[crypto.RecoveryIDOffset] += 27
		signatures = append(signatures, signature...)
	}
	d.call(s.Address, safe, "execTransaction", append(args, signatures)...)
	return d.settle()
}

// batch is what MultiSend takes: of each call a byte for its kind, address, value, length
// and data.
func batch(calls []Call) (packed []byte) {
	for _, c := range calls {
		packed = append(append(packed, 0), c.To[:]...)
		packed = append(packed, make([]byte, 32+24)...)
		packed = binary.BigEndian.AppendUint64(packed, uint64(len(c.Data)))
		packed = append(packed, c.Data...)
	}
	return packed
}

// ask calls a view function.
func ask[T any](ctx context.Context, client *ethclient.Client, at common.Address, itf abi.ABI, method string, args ...any) (answer T, err error) {
	data, err := itf.Pack(method, args...)
	if err != nil {
		return answer, fmt.Errorf("packing %s: %w", method, err)
	}
	out, err := client.CallContract(ctx, ethereum.CallMsg{To: &at, Data: data}, nil)
	if err != nil {
		return answer, fmt.Errorf("calling %s: %w", method, err)
	}
	values, err := itf.Unpack(method, out)
	if err != nil {
		return answer, fmt.Errorf("unpacking %s: %w", method, err)
	}
	answer, ok := values[0].(T)
	if !ok {
		return answer, fmt.Errorf("unpacking %s: it is a %T", method, values[0])
	}
	return answer, nil
}
