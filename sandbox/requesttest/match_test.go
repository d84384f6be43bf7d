package requesttest

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

// tool deploys a contract of PoCo's own tests.
func (s *side) tool(name string, account int) node.Contract {
	s.t.Helper()
	at, itf, err := protocol.DeployTool(s.t.Context(), s.chain.Client, world.Key(account), "../node_modules", name)
	must(s.t, err)
	return node.Contract{Address: at, ABI: itf}
}

func (s *side) send(w node.Wallet, to node.Contract, method string, args ...any) {
	s.t.Helper()
	_, err := s.trade.Chain.Send(s.t.Context(), w, to, method, args...)
	must(s.t, err)
}

// datasets is what of a registry of datasets makes them.
const datasets = `[{"type": "function", "name": "createDataset", "stateMutability": "nonpayable", "inputs": [{"name": "owner", "type": "address"}, {"name": "name", "type": "string"}, {"name": "multiaddr", "type": "bytes"}, {"name": "checksum", "type": "bytes32"}], "outputs": [{"type": "address"}]},
	{"type": "function", "name": "predictDataset", "stateMutability": "view", "inputs": [{"name": "owner", "type": "address"}, {"name": "name", "type": "string"}, {"name": "multiaddr", "type": "bytes"}, {"name": "checksum", "type": "bytes32"}], "outputs": [{"type": "address"}]}]`

// dataset registers a dataset of the app's owner.
func (s *side) dataset() common.Address {
	s.t.Helper()
	itf, err := abi.JSON(strings.NewReader(datasets))
	must(s.t, err)
	at, err := node.Call[common.Address](s.t.Context(), s.trade.Chain, s.trade.Chain.HubContract(), "datasetregistry")
	must(s.t, err)
	registry, args := node.Contract{Address: at, ABI: itf}, []any{s.owner.Address, "data", []byte("/ipfs/data"), [32]byte{1}}
	made, err := node.Call[common.Address](s.t.Context(), s.trade.Chain, registry, "predictDataset", args...)
	must(s.t, err)
	s.send(s.owner, registry, "createDataset", args...)
	return made
}

// lend offers a dataset.
func (s *side) lend(o poco.DatasetOrder) {
	s.t.Helper()
	sign := world.Sign(1, o.Hash(s.trade.Chain.Domain()))
	must(s.t, market.Publish(s.t.Context(), s.trade.Market, s.owner, poco.SignedDatasetOrder{DatasetOrder: o, Sign: sign}))
}

// A dataset is bought with the app: the cheapest order of it that allows the app, the
// workerpool and the requester.
func TestBuyWithDataset(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 4, Volume: 10, Tag: poco.TEE()})
		at := s.dataset()
		order := func(price int64, restrict func(*poco.DatasetOrder)) {
			o := poco.DatasetOrder{Dataset: at, DatasetPrice: big.NewInt(price), Volume: big.NewInt(5), Tag: poco.TEE(), Salt: common.BigToHash(big.NewInt(price))}
			restrict(&o)
			s.lend(o)
		}
		order(9, func(*poco.DatasetOrder) {})
		order(8, func(o *poco.DatasetOrder) {
			o.AppRestrict, o.RequesterRestrict, o.WorkerpoolRestrict = s.app, s.requester.Address, s.chain.Workerpool.Address
		})
		order(7, func(o *poco.DatasetOrder) { o.AppRestrict = at })
		order(6, func(o *poco.DatasetOrder) { o.RequesterRestrict = s.owner.Address })
		wants := func(most int64) poco.SignedRequestOrder {
			return s.request(func(o *poco.RequestOrder) { o.Dataset, o.DatasetMaxPrice = at, big.NewInt(most) })
		}
		_, _, err := s.trade.Buy(t.Context(), s.requester, wants(7), deal.Buying{Deposit: true})
		var none *deal.NoMatchError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), "none of 4 open orders of the dataset can be used (1: the dataset's order is restricted to another app; 1: the dataset's order is restricted to another requester; 2: the dataset costs more than the request's maximum, the cheapest 8 nRLC)") {
			t.Errorf("for 7 at most: %v", err)
		}
		order(5, func(o *poco.DatasetOrder) { o.WorkerpoolRestrict = s.owner.Address })
		if _, _, err := s.trade.Buy(t.Context(), s.requester, wants(7), deal.Buying{Deposit: true}); !errors.As(err, &none) || !strings.Contains(err.Error(), "do not go together") || !strings.Contains(err.Error(), "the dataset's order is restricted to another workerpool") {
			t.Errorf("for 7 at most, of another workerpool: %v", err)
		}
		d, made, err := s.trade.Buy(t.Context(), s.requester, wants(10), deal.Buying{Deposit: true})
		if err != nil || !made || d.Dataset.Pointer != at || d.Dataset.Owner != s.owner.Address || d.Dataset.Price.Int64() != 8 {
			t.Fatalf("bought %+v, %v", d, err)
		}
		if _, _, err := s.follow(d); err != nil {
			t.Error(err)
		}
		if free, locked := s.stake(); free != 0 || locked != 0 {
			t.Errorf("the stake is %d and %d", free, locked)
		}
	})
}

// An order that is restricted to a group is for whoever the group's contract says; another
// contract, and none, are groups of nobody.
func TestBuyInGroup(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V6)
	group := s.tool("ERC734Mock", 6)
	s.sell(orders.Terms{Price: 4, Volume: 10, Tag: poco.TEE(), RequesterRestrict: group.Address})
	s.sell(orders.Terms{Price: 3, Volume: 10, Tag: poco.TEE(), RequesterRestrict: s.app})
	s.sell(orders.Terms{Price: 2, Volume: 10, Tag: poco.TEE(), RequesterRestrict: common.Address{9}})
	r := s.request(nil)
	_, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
	var none *deal.NoMatchError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "3: the app's order is restricted to another requester") {
		t.Fatalf("by a stranger: %v", err)
	}
	member := [32]byte(common.BytesToHash(s.requester.Address[:]))
	s.send(s.owner, group, "setKeyHasPurpose", member, big.NewInt(1)) // of another purpose than a member's
	if _, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true}); !errors.As(err, &none) {
		t.Fatalf("by who has another purpose: %v", err)
	}
	s.send(s.owner, group, "setKeyHasPurpose", member, big.NewInt(4))
	d, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
	if err != nil || d.App.Price.Int64() != 4 {
		t.Fatalf("by a member: %+v, %v", d, err)
	}
	if _, _, err := s.follow(d); err != nil {
		t.Error(err)
	}
}

// A result for a callback goes to its contract: what the contracts have of it is told, and
// that there is nothing to download.
func TestBuyWithCallback(t *testing.T) {
	data := []byte("0123456789abcdef0123456789abcdef")
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{Work: func(_ context.Context, t workerpool.Task) (workerpool.Result, error) {
		return workerpool.Result{Digest: crypto.Keccak256Hash(data), Callback: data, Location: []byte(`{"storage":"ethereum","location":"` + t.Deal.Callback.Hex() + `"}`)}, nil
	}}})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	s := newSide(t, w, w.V6)
	client := s.tool("TestClient", 6)
	s.sell(orders.Terms{Price: 4, Volume: 10, Tag: poco.TEE()})
	r := s.request(func(o *poco.RequestOrder) { o.Callback = client.Address })
	d, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
	if err != nil || d.Callback != client.Address {
		t.Fatalf("bought %+v, %v", d, err)
	}
	tasks, _, err := s.follow(d)
	if err != nil || !bytes.Equal(tasks[0].Callback, data) || tasks[0].Digest != crypto.Keccak256Hash(data) {
		t.Fatalf("tasks %+v, %v", tasks, err)
	}
	var placed *deal.LocationError
	if _, err := tasks[0].Location(); !errors.As(err, &placed) || !strings.Contains(placed.Problem, "callback contract") {
		t.Errorf("location: %v", err)
	}
	got, err := node.Call[[]byte](t.Context(), s.trade.Chain, client, "store", [32]byte(tasks[0].ID))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the contract got %q, %v", got, err)
	}
}
