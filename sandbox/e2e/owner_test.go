package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// owner does with the script's wallet what mrelease does not:
//
//	owner close RECORD        closes the record's order on chain
//	owner unpublish RECORD    takes the order out of the market
//	owner transfer RECORD     gives the app to another owner
//	owner reclaim RECORD      gets the app back
//	owner sign RECORD         signs an edited record
//	owner hide RECORD         states that the app has no measurement
//	owner fund                gets a coin
//	owner payer               writes payer.json, a keystore of another wallet, $PAYER, without coins
//	owner payer fund          gives that one a coin
//	owner safe VARIABLE       deploys a Safe of two owners, and sets the variable to its address
//	owner execute FILE        has that Safe execute a file of the Transaction Builder
func owner(ts *testscript.TestScript, s *script, args []string) {
	ctx := context.Background()
	payer := walletOf(s.name + " payer")
	switch strings.Join(args, " ") {
	case "fund":
		ts.Check(fund(s.world, s.key))
		return
	case "payer":
		file, err := keystoreFile(payer)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("payer.json"), []byte(file), 0o600))
		ts.Setenv("PAYER", crypto.PubkeyToAddress(payer.PublicKey).Hex())
		return
	case "payer fund":
		ts.Check(fund(s.world, payer))
		return
	}
	if len(args) == 2 && (args[0] == "safe" || args[0] == "safe-v5" || args[0] == "execute") {
		ts.Check(s.asSafe(ts, args[0], args[1]))
		return
	}
	if len(args) != 2 {
		ts.Fatalf("usage: owner close|unpublish|transfer|reclaim|sign|hide RECORD, or owner fund|payer")
	}
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &r))
	w := owned{s.chainOf(r.App.ChainID), s.world.Market, s.key}
	switch args[0] {
	case "close":
		ts.Check(w.close(ctx, r.Order.Signed))
	case "unpublish":
		ts.Check(w.unpublish(ctx, r.Order.Hash))
	case "transfer":
		ts.Check(w.transfer(ctx, common.Address(r.App.Address)))
	case "reclaim":
		ts.Check(w.reclaim(ctx, common.Address(r.App.Address)))
	case "sign", "hide":
		if args[0] == "hide" {
			r.Enclave = record.Enclave{Format: measure.None}
		}
		wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(s.key)))
		ts.Check(err)
		ts.Check(r.Sign(ctx, wallet))
		ts.Check(r.WriteFile(ts.MkAbs(args[1])))
	default:
		ts.Fatalf("unknown: owner %s", args[0])
	}
}

// grant gives the script's wallet RLC on both chains, outside of the hubs.
func grant(ts *testscript.TestScript, s *script, _ []string) {
	for _, c := range []world.Chain{s.world.V6, s.world.V5} {
		ts.Check(c.Grant(context.Background(), crypto.PubkeyToAddress(s.key.PublicKey)))
	}
}

// names brings a registry of names to the chain sandbox-v5, which the script's own
// configuration does not know, and writes one that does:
//
//	names FILE NAME ADDRESS [NAME ADDRESS...]
//
// The address of a name may be none; mine is none too, and the name is the script's
// wallet's; bare is mine without a resolver.
func names(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 3 || len(args)%2 == 0 {
		ts.Fatalf("usage: names FILE NAME ADDRESS [NAME ADDRESS...]")
	}
	all := map[string]protocol.Name{}
	for pair := range slices.Chunk(args[1:], 2) {
		is := protocol.Name{At: common.HexToAddress(pair[1]), Bare: pair[1] == "bare"}
		if is.Bare || pair[1] == "mine" {
			is.Owner = crypto.PubkeyToAddress(s.key.PublicKey)
		}
		all[pair[0]] = is
	}
	key, err := crypto.GenerateKey()
	ts.Check(err)
	ens, err := protocol.DeployENS(context.Background(), s.world.V5.Client, key, "../node_modules", all)
	ts.Check(err)
	text := fmt.Sprintf("chains: {%s: {ens: %q}}\n", s.world.V5.Name, ens.Registry.Hex())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// group brings a group of apps to the chain sandbox-v5, which the script's wallet manages
// unless it is to be somebody else's, and sets a variable to its address:
//
//	group VARIABLE [theirs]
func group(ts *testscript.TestScript, s *script, args []string) {
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: group VARIABLE [theirs]")
	}
	key, err := crypto.GenerateKey()
	ts.Check(err)
	manager := s.key
	if len(args) == 2 {
		manager = key
	}
	at, err := protocol.DeployGroup(context.Background(), s.world.V5.Client, key, "../node_modules", crypto.PubkeyToAddress(manager.PublicKey))
	ts.Check(err)
	ts.Setenv(args[0], at.Hex())
}

// stored asserts what the secret service holds of an address:
//
//	stored app ADDRESS VALUE
func stored(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: stored SCOPE ADDRESS VALUE")
	}
	if value, _ := s.world.Stored.Value(args[0], common.HexToAddress(args[1]), "1"); value != args[2] {
		ts.Fatalf("the secret service holds %q, want %q", value, args[2])
	}
}

// owned is a wallet on a chain and its market.
type owned struct {
	chain  world.Chain
	market string
	key    *ecdsa.PrivateKey
}

func (o owned) address() common.Address { return crypto.PubkeyToAddress(o.key.PublicKey) }

// ownersMethods are the contracts' methods that an owner calls.
var ownersMethods = func() abi.ABI {
	parsed, err := abi.JSON(strings.NewReader(ownersABI))
	if err != nil {
		panic(err) // a constant, which every run parses
	}
	return parsed
}()

const ownersABI = `[
  {"type": "function", "name": "createWorkerpool", "inputs": [{"type": "address"}, {"type": "string"}]},
  {"type": "function", "name": "predictWorkerpool", "inputs": [{"type": "address"}, {"type": "string"}]},
  {"type": "function", "name": "transferFrom", "inputs": [{"type": "address"}, {"type": "address"}, {"type": "uint256"}]},
  {"type": "function", "name": "manageAppOrder", "inputs": [{"type": "tuple", "components": [
    {"name": "order", "type": "tuple", "components": [
      {"name": "app", "type": "address"}, {"name": "appprice", "type": "uint256"}, {"name": "volume", "type": "uint256"}, {"name": "tag", "type": "bytes32"},
      {"name": "datasetrestrict", "type": "address"}, {"name": "workerpoolrestrict", "type": "address"}, {"name": "requesterrestrict", "type": "address"},
      {"name": "salt", "type": "bytes32"}, {"name": "sign", "type": "bytes"}]},
    {"name": "operation", "type": "uint8"}, {"name": "sign", "type": "bytes"}]}]}
]`

type operation struct {
	Order struct {
		App                                                    common.Address
		Appprice, Volume                                       *big.Int
		Tag                                                    [32]byte
		Datasetrestrict, Workerpoolrestrict, Requesterrestrict common.Address
		Salt                                                   [32]byte
		Sign                                                   []byte
	}
	Operation uint8
	Sign      []byte
}

// closing is the hub's operation of that name.
const closing = 1

func (o owned) close(ctx context.Context, order poco.SignedAppOrder) error {
	op := operation{Operation: closing}
	op.Order.App, op.Order.Appprice, op.Order.Volume, op.Order.Tag = order.App, order.AppPrice, order.Volume, order.Tag
	op.Order.Datasetrestrict, op.Order.Workerpoolrestrict, op.Order.Requesterrestrict = order.DatasetRestrict, order.WorkerpoolRestrict, order.RequesterRestrict
	op.Order.Salt, op.Order.Sign = order.Salt, order.Sign
	return o.transact(ctx, o.chain.Hub, "manageAppOrder", op)
}

// transfer gives an app, which is a token of the registry, to whoever deployed
// the contracts.
func (o owned) transfer(ctx context.Context, app common.Address) error {
	return o.transact(ctx, o.chain.AppRegistry, "transferFrom", o.address(), o.holder().address(), app.Big())
}

// holder is to whom apps are given.
func (o owned) holder() owned { return owned{o.chain, o.market, world.Key(0)} }

func (o owned) reclaim(ctx context.Context, app common.Address) error {
	holder := o.holder()
	return holder.transact(ctx, o.chain.AppRegistry, "transferFrom", holder.address(), o.address(), app.Big())
}

func (o owned) transact(ctx context.Context, contract common.Address, method string, args ...any) error {
	data, err := ownersMethods.Pack(method, args...)
	if err != nil {
		return err
	}
	if err := o.send(ctx, contract, data); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// send sends a call as a transaction and waits until it has succeeded.
func (o owned) send(ctx context.Context, contract common.Address, data []byte) error {
	opts := bind.NewKeyedTransactor(o.key, new(big.Int).SetUint64(o.chain.ID))
	opts.Context = ctx
	if o.chain.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	client := o.chain.Client
	tx, err := bind.NewBoundContract(contract, abi.ABI{}, client, client, client).RawTransact(opts, data)
	if err != nil {
		return err
	}
	receipt, err := protocol.Mined(ctx, client, tx.Hash())
	if err == nil && receipt.Status != 1 {
		err = errors.New("the transaction was reverted")
	}
	return err
}

func (o owned) unpublish(ctx context.Context, hash common.Hash) error {
	var challenge struct {
		Data struct{ Message struct{ Challenge string } }
	}
	path := fmt.Sprintf("/challenge?chainId=%d&address=%s", o.chain.ID, o.address())
	if err := o.ask(ctx, http.MethodGet, path, "", "", &challenge); err != nil {
		return err
	}
	digest := poco.ChallengeHash(o.chain.ID, challenge.Data.Message.Challenge)
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(o.key)))
	if err != nil {
		return err
	}
	sig, err := wallet.SignTypedData(ctx, poco.Challenge(o.chain.ID, challenge.Data.Message.Challenge))
	if err != nil {
		return err
	}
	authorization := fmt.Sprintf("%s_0x%x_%s", digest, sig, o.address())
	return o.ask(ctx, http.MethodPut, fmt.Sprintf("/apporders?chainId=%d", o.chain.ID), authorization, fmt.Sprintf(`{"target":"unpublish_orderHash","orderHash":%q}`, hash), &struct{}{})
}

func (o owned) ask(ctx context.Context, method, path, authorization, body string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, o.market+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
