package workerpool_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

const (
	appTuple        = `{"type": "tuple", "components": [{"name": "app", "type": "address"}, {"name": "appPrice", "type": "uint256"}, {"name": "volume", "type": "uint256"}, {"name": "tag", "type": "bytes32"}, {"name": "datasetRestrict", "type": "address"}, {"name": "workerpoolRestrict", "type": "address"}, {"name": "requesterRestrict", "type": "address"}, {"name": "salt", "type": "bytes32"}, {"name": "sign", "type": "bytes"}]}`
	datasetTuple    = `{"type": "tuple", "components": [{"name": "dataset", "type": "address"}, {"name": "datasetPrice", "type": "uint256"}, {"name": "volume", "type": "uint256"}, {"name": "tag", "type": "bytes32"}, {"name": "appRestrict", "type": "address"}, {"name": "workerpoolRestrict", "type": "address"}, {"name": "requesterRestrict", "type": "address"}, {"name": "salt", "type": "bytes32"}, {"name": "sign", "type": "bytes"}]}`
	workerpoolTuple = `{"type": "tuple", "components": [{"name": "workerpool", "type": "address"}, {"name": "workerpoolPrice", "type": "uint256"}, {"name": "volume", "type": "uint256"}, {"name": "tag", "type": "bytes32"}, {"name": "category", "type": "uint256"}, {"name": "trust", "type": "uint256"}, {"name": "appRestrict", "type": "address"}, {"name": "datasetRestrict", "type": "address"}, {"name": "requesterRestrict", "type": "address"}, {"name": "salt", "type": "bytes32"}, {"name": "sign", "type": "bytes"}]}`
	requestTuple    = `{"type": "tuple", "components": [{"name": "app", "type": "address"}, {"name": "appMaxPrice", "type": "uint256"}, {"name": "dataset", "type": "address"}, {"name": "datasetMaxPrice", "type": "uint256"}, {"name": "workerpool", "type": "address"}, {"name": "workerpoolMaxPrice", "type": "uint256"}, {"name": "requester", "type": "address"}, {"name": "volume", "type": "uint256"}, {"name": "tag", "type": "bytes32"}, {"name": "category", "type": "uint256"}, {"name": "trust", "type": "uint256"}, {"name": "beneficiary", "type": "address"}, {"name": "callback", "type": "address"}, {"name": "params", "type": "string"}, {"name": "salt", "type": "bytes32"}, {"name": "sign", "type": "bytes"}]}`

	buyersABI = `[
  {"type": "function", "name": "createApp", "inputs": [{"type": "address"}, {"type": "string"}, {"type": "string"}, {"type": "bytes"}, {"type": "bytes32"}, {"type": "bytes"}]},
  {"type": "function", "name": "predictApp", "stateMutability": "view", "inputs": [{"type": "address"}, {"type": "string"}, {"type": "string"}, {"type": "bytes"}, {"type": "bytes32"}, {"type": "bytes"}], "outputs": [{"type": "address"}]},
  {"type": "function", "name": "approveAndCall", "inputs": [{"type": "address"}, {"type": "uint256"}, {"type": "bytes"}]},
  {"type": "function", "name": "deposit", "stateMutability": "payable", "inputs": []},
  {"type": "function", "name": "claim", "inputs": [{"type": "bytes32"}]},
  {"type": "function", "name": "matchOrders", "inputs": [` + appTuple + `, ` + datasetTuple + `, ` + workerpoolTuple + `, ` + requestTuple + `]},
  {"type": "function", "name": "viewTask", "stateMutability": "view", "inputs": [{"type": "bytes32"}], "outputs": [{"type": "tuple", "components": [
    {"type": "uint8", "name": "status"}, {"type": "bytes32", "name": "dealid"}, {"type": "uint256", "name": "idx"}, {"type": "uint256", "name": "timeref"},
    {"type": "uint256", "name": "contributionDeadline"}, {"type": "uint256", "name": "revealDeadline"}, {"type": "uint256", "name": "finalDeadline"},
    {"type": "bytes32", "name": "consensusValue"}, {"type": "uint256", "name": "revealCounter"}, {"type": "uint256", "name": "winnerCounter"},
    {"type": "address[]", "name": "contributors"}, {"type": "bytes32", "name": "resultDigest"}, {"type": "bytes", "name": "results"},
    {"type": "uint256", "name": "resultsTimestamp"}, {"type": "bytes", "name": "resultsCallback"}]}]},
  {"type": "function", "name": "viewAccount", "stateMutability": "view", "inputs": [{"type": "address"}], "outputs": [{"type": "tuple", "components": [{"type": "uint256", "name": "stake"}, {"type": "uint256", "name": "locked"}]}]}
]`
)

// task is IexecLibCore_v5.Task.
type task struct {
	Status                                              uint8
	Dealid                                              [32]byte
	Idx, Timeref                                        *big.Int
	ContributionDeadline, RevealDeadline, FinalDeadline *big.Int
	ConsensusValue                                      [32]byte
	RevealCounter, WinnerCounter                        *big.Int
	Contributors                                        []common.Address
	ResultDigest                                        [32]byte
	Results                                             []byte
	ResultsTimestamp                                    *big.Int
	ResultsCallback                                     []byte
}

// What a task's status can be.
const (
	unset, active, completed, failed = 0, 1, 3, 4
)

// buyer is a wallet that has apps and buys runs of them, on a chain.
type buyer struct {
	t      *testing.T
	chain  world.Chain
	market string
	key    *ecdsa.PrivateKey
	me     common.Address
	abi    abi.ABI
}

// newBuyer makes a wallet that has coins, and a stake.
func newBuyer(t *testing.T, w *world.World, c world.Chain) *buyer {
	t.Helper()
	parsed, err := abi.JSON(strings.NewReader(buyersABI))
	if err != nil {
		t.Fatal(err)
	}
	key := w.Wallet()
	b := &buyer{t, c, w.Market, key, crypto.PubkeyToAddress(key.PublicKey), parsed}
	if c.RLC == (common.Address{}) {
		b.send(c.Hub, big.NewInt(1e18), "deposit")
	} else {
		b.send(c.RLC, nil, "approveAndCall", c.Hub, big.NewInt(1e9), []byte{})
	}
	return b
}

func (b *buyer) contract(at common.Address) *bind.BoundContract {
	return bind.NewBoundContract(at, b.abi, b.chain.Client, b.chain.Client, b.chain.Client)
}

func (b *buyer) send(at common.Address, value *big.Int, method string, args ...any) *types.Receipt {
	b.t.Helper()
	opts := bind.NewKeyedTransactor(b.key, new(big.Int).SetUint64(b.chain.ID))
	opts.Context, opts.Value = b.t.Context(), value
	if b.chain.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	data, err := b.abi.Pack(method, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	tx, err := b.contract(at).RawTransact(opts, data)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	receipt, err := protocol.Mined(b.t.Context(), b.chain.Client, tx.Hash())
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		b.t.Fatalf("%s was reverted", method)
	}
	return receipt
}

func view[T any](b *buyer, at common.Address, method string, args ...any) T {
	b.t.Helper()
	var out []any
	if err := b.contract(at).Call(&bind.CallOpts{Context: b.t.Context()}, &out, method, args...); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	return *abi.ConvertType(out[0], new(T)).(*T)
}

func (b *buyer) task(id common.Hash) task { return view[task](b, b.chain.Hub, "viewTask", id) }

// stake is what the wallet has in the hub, and what of it is locked.
func (b *buyer) stake() (free, locked int64) {
	account := view[struct{ Stake, Locked *big.Int }](b, b.chain.Hub, "viewAccount", b.me)
	return account.Stake.Int64(), account.Locked.Int64()
}

// app registers an app.
func (b *buyer) app(image string, checksum common.Hash, mrenclave string) common.Address {
	b.t.Helper()
	args := []any{b.me, "app", "DOCKER", []byte(image), checksum, []byte(mrenclave)}
	at := view[common.Address](b, b.chain.AppRegistry, "predictApp", args...)
	b.send(b.chain.AppRegistry, nil, "createApp", args...)
	return at
}

func (b *buyer) sign(hash common.Hash) []byte {
	signature, err := crypto.Sign(hash[:], b.key)
	if err != nil {
		b.t.Fatal(err)
	}
	signature[64] += 27
	return signature
}

// offers returns the pool's orders on the market for a category and a tag.
func (b *buyer) offers(category uint64, tag poco.Tag) []poco.SignedWorkerpoolOrder {
	b.t.Helper()
	url := fmt.Sprintf("%s/workerpoolorders?chainId=%d&category=%d&minTag=%s&maxTag=%s", b.market, b.chain.ID, category, tag, tag)
	resp, err := http.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var answer struct {
		Orders []struct{ Order poco.SignedWorkerpoolOrder }
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		b.t.Fatalf("%v: %s", err, data)
	}
	var list []poco.SignedWorkerpoolOrder
	for _, o := range answer.Orders {
		list = append(list, o.Order)
	}
	return list
}

// datasetOrder is that of a deal without a dataset.
type datasetOrder struct {
	Dataset                                            common.Address
	DatasetPrice, Volume                               *big.Int
	Tag                                                [32]byte
	AppRestrict, WorkerpoolRestrict, RequesterRestrict common.Address
	Salt                                               [32]byte
	Sign                                               []byte
}

// run is what is asked of a run.
type run struct {
	app      common.Address
	category uint64
	tag      poco.Tag
	params   string
	volume   int64
	callback common.Address
}

// buy makes a deal with the market's first order, and returns its tasks.
func (b *buyer) buy(r run) (deal common.Hash, tasks []common.Hash) {
	b.t.Helper()
	offers := b.offers(r.category, r.tag)
	if len(offers) == 0 {
		b.t.Fatalf("nobody offers runs in category %d with tag %s", r.category, r.tag)
	}
	return b.match(r, offers[0])
}

func (b *buyer) match(r run, offer poco.SignedWorkerpoolOrder) (deal common.Hash, tasks []common.Hash) {
	b.t.Helper()
	domain, volume := poco.Domain{ChainID: b.chain.ID, Hub: b.chain.Hub}, big.NewInt(max(r.volume, 1))
	sold := poco.SignedAppOrder{AppOrder: poco.AppOrder{App: r.app, AppPrice: new(big.Int), Volume: volume, Tag: r.tag, Salt: salt()}}
	sold.Sign = b.sign(sold.Hash(domain))
	request := poco.SignedRequestOrder{RequestOrder: poco.RequestOrder{
		App: r.app, AppMaxPrice: new(big.Int), DatasetMaxPrice: new(big.Int), WorkerpoolMaxPrice: offer.WorkerpoolPrice, Requester: b.me, Volume: volume,
		Tag: r.tag, Category: offer.Category, Trust: new(big.Int), Beneficiary: b.me, Callback: r.callback, Params: r.params, Salt: salt(),
	}}
	request.Sign = b.sign(request.Hash(domain))
	b.send(b.chain.Hub, nil, "matchOrders", flat(sold.AppOrder, sold.Sign), datasetOrder{DatasetPrice: new(big.Int), Volume: new(big.Int)}, flat(offer.WorkerpoolOrder, offer.Sign), flat(request.RequestOrder, request.Sign))
	hash := request.Hash(domain)
	deal = crypto.Keccak256Hash(hash[:], make([]byte, 32))
	for i := range volume.Int64() {
		tasks = append(tasks, crypto.Keccak256Hash(deal[:], common.BigToHash(big.NewInt(i)).Bytes()))
	}
	return deal, tasks
}

func salt() (s common.Hash) {
	rand.Read(s[:])
	return s
}

// ends collects how tasks and deals ended.
type ends chan end

type end struct {
	id  common.Hash
	err error
}

func (e ends) add(id common.Hash, err error) { e <- end{id, err} }

// wait returns how a task ended.
func (e ends) wait(t *testing.T, id common.Hash) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	select {
	case got := <-e:
		if got.id != id {
			t.Fatalf("%s ended (%v), want %s", got.id, got.err, id)
		}
		return got.err
	case <-ctx.Done():
		t.Fatal(errors.New("the task did not end"))
		return nil
	}
}

// flat is an order as the contracts take it, with its signature behind it.
func flat(order any, sign []byte) any {
	switch o := order.(type) {
	case poco.AppOrder:
		return struct {
			App                                                    common.Address
			AppPrice, Volume                                       *big.Int
			Tag                                                    [32]byte
			DatasetRestrict, WorkerpoolRestrict, RequesterRestrict common.Address
			Salt                                                   [32]byte
			Sign                                                   []byte
		}{o.App, o.AppPrice, o.Volume, o.Tag, o.DatasetRestrict, o.WorkerpoolRestrict, o.RequesterRestrict, o.Salt, sign}
	case poco.WorkerpoolOrder:
		return struct {
			Workerpool                                      common.Address
			WorkerpoolPrice, Volume                         *big.Int
			Tag                                             [32]byte
			Category, Trust                                 *big.Int
			AppRestrict, DatasetRestrict, RequesterRestrict common.Address
			Salt                                            [32]byte
			Sign                                            []byte
		}{o.Workerpool, o.WorkerpoolPrice, o.Volume, o.Tag, o.Category, o.Trust, o.AppRestrict, o.DatasetRestrict, o.RequesterRestrict, o.Salt, sign}
	case poco.RequestOrder:
		return struct {
			App                common.Address
			AppMaxPrice        *big.Int
			Dataset            common.Address
			DatasetMaxPrice    *big.Int
			Workerpool         common.Address
			WorkerpoolMaxPrice *big.Int
			Requester          common.Address
			Volume             *big.Int
			Tag                [32]byte
			Category, Trust    *big.Int
			Beneficiary        common.Address
			Callback           common.Address
			Params             string
			Salt               [32]byte
			Sign               []byte
		}{o.App, o.AppMaxPrice, o.Dataset, o.DatasetMaxPrice, o.Workerpool, o.WorkerpoolMaxPrice, o.Requester, o.Volume, o.Tag, o.Category, o.Trust, o.Beneficiary, o.Callback, o.Params, o.Salt, sign}
	}
	panic(fmt.Sprintf("no order: %T", order))
}
