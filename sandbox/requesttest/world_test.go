package requesttest

import (
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

func startWorld(t *testing.T) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{Work: workerpool.Unread}})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// side is a requester beside the owner of an app that is sold, on one of the chains.
type side struct {
	t         *testing.T
	world     *world.World
	chain     world.Chain
	trade     deal.Trade
	requester node.Wallet
	owner     node.Wallet
	app       common.Address
}

func newSide(t *testing.T, w *world.World, c world.Chain) *side {
	t.Helper()
	client, err := node.Connect(t.Context(), poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Market: w.Market, SMS: w.Secrets, Fees: c.Fees, Development: true})
	must(t, err)
	s := &side{t: t, world: w, chain: c, trade: deal.Trade{Chain: client, Market: market.Client{URL: w.Market, ChainID: c.ID}}}
	s.owner, s.requester = s.wallet(1), s.wallet(2)
	must(t, c.Grant(t.Context(), s.requester.Address))
	app := poco.App{
		Owner: s.owner.Address, Name: t.Name(), Type: poco.TypeDocker, Multiaddr: []byte("registry.example/app:1.0.0"),
		Checksum: common.HexToHash("0x01"), MREnclave: []byte("fingerprint"),
	}
	made, err := apps.Register(t.Context(), client, s.owner, app, measure.Enclave{})
	must(t, err)
	s.app = made.Address
	return s
}

func (s *side) wallet(account int) node.Wallet {
	s.t.Helper()
	w, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(account))))
	must(s.t, err)
	return w
}

// sell offers the app.
func (s *side) sell(terms orders.Terms) poco.AppOrder {
	s.t.Helper()
	order := orders.New(s.trade.Chain.Domain(), s.app, terms)
	_, err := orders.Offer(s.t.Context(), s.trade.Chain, s.trade.Market, s.owner, order)
	must(s.t, err)
	return order
}

// request is a signed request for a run of the app, with a change.
func (s *side) request(change func(*poco.RequestOrder)) poco.SignedRequestOrder {
	s.t.Helper()
	o := poco.RequestOrder{
		App: s.app, AppMaxPrice: big.NewInt(10), DatasetMaxPrice: new(big.Int), WorkerpoolMaxPrice: big.NewInt(100),
		Requester: s.requester.Address, Beneficiary: s.requester.Address, Volume: big.NewInt(1), Tag: poco.TEE(),
		Category: new(big.Int), Trust: new(big.Int), Params: "python3 /app/app.py",
	}
	if change != nil {
		change(&o)
	}
	signed, err := request.SignOrder(s.t.Context(), s.requester, s.trade.Chain.Domain(), o)
	must(s.t, err)
	return signed
}

func (s *side) fault(r fault.Rule) {
	s.t.Helper()
	must(s.t, s.world.Faults.Add(r))
}

// rpc is the name under which the chain's node fails.
func (s *side) rpc() string {
	if s.chain.ID == s.world.V5.ID {
		return "rpc-v5"
	}
	return "rpc"
}

func (s *side) stake() (free, locked int64) {
	s.t.Helper()
	stake, err := node.StakeOf(s.t.Context(), s.trade.Chain, s.requester.Address)
	must(s.t, err)
	return stake.Free.Int64(), stake.Locked.Int64()
}

// both runs a test on both chains.
func both(t *testing.T, test func(*testing.T, *side)) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) { test(t, newSide(t, w, c)) })
	}
}
