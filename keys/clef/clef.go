// Package clef has Clef, go-ethereum's external signer, sign for a wallet: a program that
// holds the keys, shows what is to be signed to a person or to rules, and signs what they
// approve. It speaks Clef's external API 6 (JSON-RPC 2.0) over its socket or HTTP.
package clef

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/outside"
)

// Signer is an account of a Clef. It implements [node.Signer]; its errors are
// [*node.SignerError].
type Signer struct {
	At      string // path of its socket, or its http:// or https:// URL
	Account common.Address
}

// String says where it is, without secrets.
func (s Signer) String() string {
	if s.isURL() {
		return "Clef at " + redact.URL(s.At)
	}
	return "Clef at " + s.At
}

func (s Signer) isURL() bool { return strings.Contains(s.At, "://") }

// Open makes sure that there is a Clef that has the account, and returns its wallet. Clef
// may ask whether it may list its accounts.
func (s Signer) Open(ctx context.Context) (node.Wallet, error) {
	var listed []common.Address
	if err := s.call(ctx, "to list accounts", &listed, "account_list"); err != nil {
		return node.Wallet{}, err
	}
	if !slices.Contains(listed, s.Account) {
		return node.Wallet{}, s.failed("to list accounts", fmt.Sprintf("the account is none of the %d that %s lists", len(listed), s), "correct wallet.address, or give that account to Clef", nil)
	}
	return node.NewWallet(s.Account, s), nil
}

// SignText implements [node.Signer].
func (s Signer) SignText(ctx context.Context, text []byte) ([]byte, error) {
	var signature hexutil.Bytes
	err := s.call(ctx, "a text", &signature, "account_signData", accounts.MimetypeTextPlain, s.from(), hexutil.Bytes(text))
	return signature, err
}

// SignTypedData implements [node.Signer].
func (s Signer) SignTypedData(ctx context.Context, data apitypes.TypedData) ([]byte, error) {
	var signature hexutil.Bytes
	err := s.call(ctx, "typed data "+data.PrimaryType, &signature, "account_signTypedData", s.from(), data)
	return signature, err
}

// SignTransaction implements [node.Signer]. Who approves a transaction in Clef can change
// it; then it is another one than was tried, priced and approved here, and an error.
func (s Signer) SignTransaction(ctx context.Context, tx *types.Transaction, chain *big.Int, call string) ([]byte, error) {
	what := "a call of " + call
	var answer struct {
		Raw hexutil.Bytes `json:"raw"`
	}
	if err := s.call(ctx, what, &answer, "account_signTransaction", s.arguments(tx, chain), call); err != nil {
		return nil, err
	}
	var signed types.Transaction
	if err := signed.UnmarshalBinary(answer.Raw); err != nil {
		return nil, s.failed(what, "what came back is no transaction: "+err.Error(), "ask who runs "+s.String(), nil)
	}
	if changes := differences(tx, &signed, chain); changes != nil {
		return nil, s.failed(what, "what came back is another transaction: "+strings.Join(changes, "; "), "approve it as it is, or have it refused; fees are set by chains.<name>.max-fee-per-gas", nil)
	}
	return signatureOf(&signed, chain), nil
}

// from is Clef's form of an address, whose JSON has a pointer only.
func (s Signer) from() *common.MixedcaseAddress {
	from := common.NewMixedcaseAddress(s.Account)
	return &from
}

func (s Signer) arguments(tx *types.Transaction, chain *big.Int) apitypes.SendTxArgs {
	data := hexutil.Bytes(tx.Data())
	args := apitypes.SendTxArgs{
		From: *s.from(), Gas: hexutil.Uint64(tx.Gas()), Value: hexutil.Big(*tx.Value()), Nonce: hexutil.Uint64(tx.Nonce()),
		Input: &data, ChainID: (*hexutil.Big)(chain),
	}
	if tx.To() != nil {
		to := common.NewMixedcaseAddress(*tx.To())
		args.To = &to
	}
	if tx.Type() == types.LegacyTxType {
		args.GasPrice = (*hexutil.Big)(tx.GasPrice())
		return args
	}
	args.MaxFeePerGas, args.MaxPriorityFeePerGas = (*hexutil.Big)(tx.GasFeeCap()), (*hexutil.Big)(tx.GasTipCap())
	return args
}

// differences says in what a transaction is not the one that was asked for.
func differences(asked, got *types.Transaction, chain *big.Int) (all []string) {
	target := func(tx *types.Transaction) string {
		if tx.To() == nil {
			return "a new contract"
		}
		return tx.To().Hex()
	}
	chainOf := "none"
	if got.Protected() {
		chainOf = got.ChainId().String()
	}
	for _, f := range []struct{ name, asked, got string }{
		{"chain", chain.String(), chainOf},
		{"type", fmt.Sprint(asked.Type()), fmt.Sprint(got.Type())},
		{"nonce", fmt.Sprint(asked.Nonce()), fmt.Sprint(got.Nonce())},
		{"to", target(asked), target(got)},
		{"value", asked.Value().String(), got.Value().String()},
		{"data", brief(asked.Data()), brief(got.Data())},
		{"gas", fmt.Sprint(asked.Gas()), fmt.Sprint(got.Gas())},
		{"fee", asked.GasFeeCap().String(), got.GasFeeCap().String()},
		{"tip", asked.GasTipCap().String(), got.GasTipCap().String()},
	} {
		if f.asked != f.got {
			all = append(all, fmt.Sprintf("%s %s, not %s", f.name, f.got, f.asked))
		}
	}
	rules := types.LatestSignerForChainID(chain)
	if all == nil && rules.Hash(asked) != rules.Hash(got) {
		all = append(all, "in more than its fields")
	}
	return all
}

// brief names data by its length and hash, but for their first bytes.
func brief(data []byte) string {
	return fmt.Sprintf("0x%x… (%d bytes, keccak256 %.10s…)", data[:min(4, len(data))], len(data), crypto.Keccak256Hash(data).Hex())
}

// signatureOf takes the signature out of a transaction of the chain: r ‖ s ‖ v, with v 27
// or 28. One that is none becomes one of nobody.
func signatureOf(tx *types.Transaction, chain *big.Int) []byte {
	v, r, s := tx.RawSignatureValues()
	if tx.Type() == types.LegacyTxType { // EIP-155: 35 + 2·chain + y
		v = new(big.Int).Sub(v, new(big.Int).Add(big.NewInt(35), new(big.Int).Lsh(chain, 1)))
	}
	signature := make([]byte, 65)
	if r.BitLen() > 256 || s.BitLen() > 256 || !v.IsUint64() || v.Uint64() > 1 {
		return signature
	}
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:64])
	signature[64] = 27 + byte(v.Uint64())
	return signature
}

// call asks Clef once: asking again would ask a person again.
func (s Signer) call(ctx context.Context, what string, answer any, method string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, bounds.Approval)
	defer cancel()
	client, hangUp, err := s.dial(ctx)
	if err != nil {
		err = redact.Error(err)
		return s.failed(what, fmt.Sprintf("%s cannot be reached: %v", s, err), "start Clef, or correct wallet.clef", err)
	}
	defer hangUp()
	err = redact.Error(client.CallContext(ctx, answer, method, args...))
	var refused rpc.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Error() == "request denied": // signer/core.ErrRequestDenied
		return s.failed(what, s.String()+" was told not to sign", "run the same command again when whoever approves there agrees; what is done is found", err)
	case errors.As(err, &refused):
		return s.failed(what, fmt.Sprintf("%s answered %s: %v", s, method, err), "correct what Clef says above: it signs for the one chain of its --chainid, and for accounts that it has the password of", err)
	case errors.Is(err, context.DeadlineExceeded):
		return s.failed(what, fmt.Sprintf("%s did not answer within %s", s, bounds.Approval), "approve in Clef, or have it answer by rules", err)
	}
	return s.failed(what, fmt.Sprintf("%s did not answer: %v", s, err), "look at what Clef shows; over HTTP it ends requests that nobody approves within 30 seconds, over its socket it does not", err)
}

func (s Signer) dial(ctx context.Context) (client *rpc.Client, hangUp func(), err error) {
	if s.isURL() {
		at, err := url.Parse(s.At)
		if err != nil {
			return nil, nil, err
		}
		transport := outside.Transport(outside.Service{Host: at.Host, Most: bounds.SignerAnswer, Stay: true})
		client, err = rpc.DialOptions(ctx, s.At, rpc.WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			return nil, nil, err
		}
		return client, client.Close, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.At)
	if err != nil {
		return nil, nil, err
	}
	client, err = rpc.DialIO(ctx, io.LimitReader(conn, bounds.SignerAnswer), conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return client, func() { _ = conn.Close(); client.Close() }, nil // in this order: the client waits for its reader
}

func (s Signer) failed(what, problem, advice string, err error) error {
	return &node.SignerError{Wallet: s.Account, What: what, Problem: problem, Advice: advice, Err: err}
}
