package clef_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/keys/clef"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// account is a stand-in for Clef's external API, of go-ethereum's own server, types and
// signatures. Clef itself is package main of another version.
type account struct {
	key    *ecdsa.PrivateKey
	chain  *big.Int
	deny   bool
	edit   func(*apitypes.SendTxArgs) // what a person changes before approving
	rules  types.Signer               // nil: of the chain
	called string
}

func newAccount(t *testing.T) *account {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.Repeat("11", 32))
	must(t, err)
	return &account{key: key, chain: big.NewInt(65535)}
}

func (a *account) address() common.Address { return crypto.PubkeyToAddress(a.key.PublicKey) }

var errDenied = errors.New("request denied")

func (a *account) List() ([]common.Address, error) {
	if a.deny {
		return nil, errDenied
	}
	return []common.Address{{19: 1}, a.address()}, nil
}

func (a *account) sign(of common.MixedcaseAddress, hash []byte) (hexutil.Bytes, error) {
	if a.deny {
		return nil, errDenied
	}
	if of.Address() != a.address() {
		return nil, errors.New("unknown account")
	}
	signature, err := crypto.Sign(hash, a.key)
	if err == nil {
		signature[64] += 27
	}
	return signature, err
}

func (a *account) SignTypedData(of common.MixedcaseAddress, data apitypes.TypedData) (hexutil.Bytes, error) {
	hash, _, err := apitypes.TypedDataAndHash(data)
	if err != nil {
		return nil, err
	}
	return a.sign(of, hash)
}

func (a *account) SignData(kind string, of common.MixedcaseAddress, data hexutil.Bytes) (hexutil.Bytes, error) {
	if kind != accounts.MimetypeTextPlain {
		return nil, errors.New("another kind of data")
	}
	return a.sign(of, accounts.TextHash(data))
}

func (a *account) SignTransaction(args apitypes.SendTxArgs, selector *string) (map[string]any, error) {
	if a.deny {
		return nil, errDenied
	}
	if args.ChainID == nil || args.ChainID.ToInt().Cmp(a.chain) != 0 {
		return nil, fmt.Errorf("requested chainid %v does not match the configuration of the signer", args.ChainID)
	}
	if a.called = ""; selector != nil {
		a.called = *selector
	}
	if a.edit != nil {
		a.edit(&args)
	}
	tx, err := args.ToTransaction()
	if err != nil {
		return nil, err
	}
	rules := a.rules
	if rules == nil {
		rules = types.LatestSignerForChainID(a.chain)
	}
	if tx, err = types.SignTx(tx, rules, a.key); err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	return map[string]any{"raw": hexutil.Bytes(raw), "tx": tx}, err
}

// both serves the account over a socket and over HTTP.
func (a *account) both(t *testing.T, test func(t *testing.T, s clef.Signer)) {
	server := rpc.NewServer()
	t.Cleanup(server.Stop)
	must(t, server.RegisterName("account", a))
	socket := filepath.Join(t.TempDir(), "clef.ipc")
	listener, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go server.ServeListener(listener)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	for _, at := range []string{socket, web.URL} {
		name, _, _ := strings.Cut(filepath.Base(at), ":")
		t.Run(name, func(t *testing.T) { test(t, clef.Signer{At: at, Account: a.address()}) })
	}
}

func order() poco.AppOrder {
	return poco.AppOrder{App: common.Address{1}, AppPrice: big.NewInt(4), Volume: big.NewInt(9), Tag: poco.TEE(), Salt: common.Hash{2}}
}

func call() *types.DynamicFeeTx {
	return &types.DynamicFeeTx{
		ChainID: big.NewInt(65535), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(20), Gas: 90_000,
		To: &common.Address{19: 9}, Value: big.NewInt(3), Data: []byte{1, 2, 3, 4, 5},
	}
}

func hub() poco.Domain { return poco.Domain{ChainID: 65535, Hub: common.Address{3}} }

// What Clef signs is, to the byte, what a key in memory signs.
func TestSigns(t *testing.T) {
	a := newAccount(t)
	a.both(t, func(t *testing.T, s clef.Signer) {
		signsAsHere(t, s)
		if a.called != "createApp(address)" {
			t.Errorf("it was told a call of %q", a.called)
		}
	})
}

func signsAsHere(t *testing.T, s clef.Signer) {
	t.Helper()
	here, err := node.ParseKey(strings.Repeat("11", 32))
	must(t, err)
	there, err := s.Open(t.Context())
	must(t, err)
	for name, sign := range map[string]func(node.Wallet) ([]byte, error){
		"order": func(w node.Wallet) ([]byte, error) { return w.SignTypedData(t.Context(), order().TypedData(hub())) },
		"login": func(w node.Wallet) ([]byte, error) { return w.SignTypedData(t.Context(), poco.Challenge(5, "text")) },
		"text":  func(w node.Wallet) ([]byte, error) { return w.SignText(t.Context(), []byte("mrelease record")) },
		"dynamic": func(w node.Wallet) ([]byte, error) {
			return sent(w.SignTransaction(t.Context(), call(), 65535, "createApp(address)"))
		},
		"legacy": func(w node.Wallet) ([]byte, error) {
			return sent(w.SignTransaction(t.Context(), &types.LegacyTx{Nonce: 7, GasPrice: new(big.Int), Gas: 90_000, To: call().To, Data: call().Data}, 65535, "createApp(address)"))
		},
	} {
		want, err := sign(here)
		must(t, err)
		if got, err := sign(there); err != nil || string(got) != string(want) {
			t.Errorf("%s: %x, %v, want %x", name, got, err, want)
		}
	}
}

func sent(tx *types.Transaction, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return tx.MarshalBinary()
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	var refused *node.SignerError
	if !errors.As(err, &refused) || !strings.Contains(refused.Problem, want) || !strings.HasPrefix(refused.Remedy(), "nothing of it was sent: ") {
		t.Errorf("got %v, want a *node.SignerError with %q", err, want)
	}
}

func TestDenied(t *testing.T) {
	a := newAccount(t)
	a.deny = true
	a.both(t, func(t *testing.T, s clef.Signer) {
		_, err := s.Open(t.Context())
		refused(t, err, "was told not to sign")
		w := node.NewWallet(s.Account, s)
		_, err = w.SignText(t.Context(), nil)
		refused(t, err, "was told not to sign")
		_, err = w.SignTypedData(t.Context(), poco.Challenge(5, "text"))
		refused(t, err, "was told not to sign")
		_, err = w.SignTransaction(t.Context(), call(), 65535, "createApp(address)")
		refused(t, err, "was told not to sign")
	})
}

func TestOtherAccountAndChain(t *testing.T) {
	newAccount(t).both(t, func(t *testing.T, s clef.Signer) {
		_, err := node.NewWallet(s.Account, s).SignTransaction(t.Context(), call(), 1, "createApp(address)")
		refused(t, err, "does not match the configuration of the signer")
		s.Account = common.Address{5}
		_, err = s.Open(t.Context())
		refused(t, err, "none of the 2 that")
	})
}

// A person before Clef may change a transaction; so may whoever is in Clef's place.
func TestAttackChangedTransaction(t *testing.T) {
	text := func(b ...byte) *hexutil.Bytes { return (*hexutil.Bytes)(&b) }
	to := common.NewMixedcaseAddress(common.Address{8})
	for name, c := range map[string]struct {
		edit  func(*apitypes.SendTxArgs)
		rules types.Signer
		want  string
	}{
		"gas":     {edit: func(a *apitypes.SendTxArgs) { a.Gas++ }, want: "gas 90001, not 90000"},
		"fee":     {edit: func(a *apitypes.SendTxArgs) { a.MaxFeePerGas = (*hexutil.Big)(big.NewInt(21)) }, want: "fee 21, not 20"},
		"tip":     {edit: func(a *apitypes.SendTxArgs) { a.MaxPriorityFeePerGas = (*hexutil.Big)(big.NewInt(2)) }, want: "tip 2, not 1"},
		"nonce":   {edit: func(a *apitypes.SendTxArgs) { a.Nonce = 8 }, want: "nonce 8, not 7"},
		"value":   {edit: func(a *apitypes.SendTxArgs) { a.Value = hexutil.Big(*big.NewInt(4)) }, want: "value 4, not 3"},
		"to":      {edit: func(a *apitypes.SendTxArgs) { a.To = &to }, want: "to 0x08"},
		"nobody":  {edit: func(a *apitypes.SendTxArgs) { a.To = nil }, want: "to a new contract"},
		"data":    {edit: func(a *apitypes.SendTxArgs) { a.Input = text(1, 2, 3, 4, 6) }, want: "data 0x01020304"},
		"type":    {edit: func(a *apitypes.SendTxArgs) { a.GasPrice, a.MaxFeePerGas = (*hexutil.Big)(big.NewInt(20)), nil }, want: "type 0, not 2"},
		"list":    {edit: func(a *apitypes.SendTxArgs) { a.AccessList = &types.AccessList{{Address: common.Address{1}}} }, want: "in more than its fields"},
		"another": {edit: func(a *apitypes.SendTxArgs) { a.ChainID = (*hexutil.Big)(big.NewInt(66)) }, rules: types.LatestSignerForChainID(big.NewInt(66)), want: "chain 66, not 65535"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.edit, a.rules = c.edit, c.rules
			a.both(t, func(t *testing.T, s clef.Signer) {
				_, err := node.NewWallet(s.Account, s).SignTransaction(t.Context(), call(), 65535, "createApp(address)")
				refused(t, err, c.want)
			})
		})
	}
}

// One that is for all chains has all the fields that it should.
func TestAttackUnprotected(t *testing.T) {
	a := newAccount(t)
	a.rules = types.HomesteadSigner{}
	a.both(t, func(t *testing.T, s clef.Signer) {
		_, err := node.NewWallet(s.Account, s).SignTransaction(t.Context(), &types.LegacyTx{GasPrice: new(big.Int), Gas: 1, To: call().To}, 65535, "close()")
		refused(t, err, "chain none, not 65535")
	})
}

// A Clef that signs with another key than it lists.
func TestAttackOtherKey(t *testing.T) {
	a := newAccount(t)
	a.both(t, func(t *testing.T, s clef.Signer) {
		w := node.NewWallet(common.Address{19: 1}, clef.Signer{At: s.At, Account: s.Account})
		_, err := w.SignText(t.Context(), []byte("text"))
		refused(t, err, "what came back is a signature of "+a.address().Hex())
		_, err = w.SignTransaction(t.Context(), call(), 65535, "createApp(address)")
		refused(t, err, "what came back is a signature of "+a.address().Hex())
	})
}

// What is in Clef's place answers anything, without end, or not at all.
func TestAttackAnswers(t *testing.T) {
	answers := map[string]struct{ text, want string }{
		"no JSON":           {"<html>", "did not answer"},
		"no transaction":    {`{"jsonrpc":"2.0","id":1,"result":{"raw":"0x00"}}`, "no transaction"},
		"nothing":           {`{"jsonrpc":"2.0","id":1,"result":{}}`, "no transaction"},
		"beyond the bound":  {`{"jsonrpc":"2.0","id":1,"result":{"raw":"0x` + strings.Repeat("0", bounds.SignerAnswer) + `"}}`, "did not answer"},
		"other words of it": {`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no such account"}}`, "no such account"},
	}
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, c.text)
			}))
			defer web.Close()
			socket := filepath.Join(t.TempDir(), "clef.ipc")
			listener, err := net.Listen("unix", socket)
			must(t, err)
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
							io.WriteString(conn, c.text+"\n")
						}
						io.Copy(io.Discard, conn)
					}()
				}
			}()
			for _, at := range []string{web.URL, socket} {
				s := clef.Signer{At: at, Account: common.Address{1}}
				_, err := node.NewWallet(s.Account, s).SignTransaction(t.Context(), call(), 65535, "createApp(address)")
				refused(t, err, c.want)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	s := clef.Signer{At: filepath.Join(t.TempDir(), "none.ipc"), Account: common.Address{1}}
	_, err := s.Open(t.Context())
	refused(t, err, "cannot be reached")
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Open(gone); err == nil {
		t.Error("opened what is not there")
	}
	s.At = "http://user:secret@127.0.0.1:1/?key=secret"
	if _, err = s.Open(t.Context()); err == nil || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("got %v", err)
	}
}
