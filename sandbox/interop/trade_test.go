//go:build interop

package interop

import (
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
)

const (
	legacyEnclave = "format: legacy"
	jsonEnclave   = `format: json, framework: SCONE, version: v5.9, entrypoint: /app, heap: 1G`
	noEnclave     = "format: none"
)

// Each version of the command line with the release that it can still trade: it
// shows our app, finds our order in the market, and fills it into a deal.
func TestTrade(t *testing.T) {
	s := newStage(t)
	for name, tt := range map[string]struct {
		version      int
		chain        world.Chain
		enclave, tag string
		order        any // the tag of the other orders
	}{
		"5.3.1, legacy fingerprint, tag 0x1": {5, s.V5, legacyEnclave, "tee", []string{"tee"}},
		"8.24.0, JSON enclave, tag 0x3":      {8, s.V5, jsonEnclave, "tee,scone", []string{"tee", "scone"}},
		"9.0.1, no enclave value, tag 0x9":   {9, s.V6, noEnclave, "tee,tdx", []string{"tee", "tdx"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t, s, tt.version, tt.chain)
			r := release{"traded-" + string(rune('0'+tt.version)), tt.chain, tt.enclave, tt.tag, c.dir} // with the wallet file that the CLI made
			rec := s.release(t, r)
			c.showsApp(t, rec)
			c.findsOrder(t, rec)
			c.fills(t, rec, tt.order)
			if n := consumed(t, tt.chain, rec.Order.Hash); n != 1 {
				t.Errorf("the hub says that %d runs of the order are consumed, want 1", n)
			}
			there, err := market.Client{URL: s.Market, ChainID: tt.chain.ID}.Order(t.Context(), rec.Order.Hash)
			if err != nil || there.Remaining != 999_999 {
				t.Errorf("the market says %+v, %v; want 999999 remaining", there, err)
			}
			if out, _ := s.mrelease(t, r, "verify", r.name+".json"); !strings.Contains(out, "PASSED") {
				t.Errorf("verify says %s", out)
			}
		})
	}
}

// showsApp compares what the command line shows of the app with the record.
func (c *cli) showsApp(t *testing.T, rec record.Record) {
	t.Helper()
	shown := encode(t, c.call(t, "app", "show", common.Address(rec.App.Address).Hex(), "--chain", "local"))
	for _, want := range []string{common.Address(rec.App.Owner).Hex(), rec.App.Name, rec.Image.Reference, rec.App.Checksum.Hex()} {
		if !strings.Contains(strings.ToLower(shown), strings.ToLower(want)) {
			t.Errorf("iexec %d shows no %s:\n%s", c.version, want, shown)
		}
	}
	if rec.Enclave.MRENCLAVE != nil && !strings.Contains(shown, rec.Enclave.MRENCLAVE.String()) {
		t.Errorf("iexec %d shows another enclave than %s:\n%s", c.version, rec.Enclave.Value, shown)
	}
}

func (c *cli) findsOrder(t *testing.T, rec record.Record) {
	t.Helper()
	hash := rec.Order.Hash.Hex()
	book := encode(t, c.call(t, "orderbook", "app", common.Address(rec.App.Address).Hex(), "--chain", "local"))
	if !strings.Contains(book, hash) {
		t.Errorf("iexec %d does not find order %s in the book:\n%s", c.version, hash, book)
	}
	shown := encode(t, c.call(t, "order", "show", "--app", hash, "--chain", "local"))
	if !strings.Contains(shown, common.Bytes2Hex(rec.Order.Signed.Sign)) {
		t.Errorf("iexec %d shows another order than %s:\n%s", c.version, hash, shown)
	}
}

// fills makes a deal of our order with a workerpool order and a request order
// that the command line makes.
func (c *cli) fills(t *testing.T, rec record.Record, tag any) {
	t.Helper()
	c.call(t, with(c.initAs(pool), "workerpool", "init")...)
	c.edit(t, func(p map[string]any) { p["workerpool"].(map[string]any)["description"] = "pool of " + rec.App.Name })
	c.call(t, with(c.as(pool), "workerpool", "deploy")...)
	c.call(t, with(c.as(pool), "order", "init", "--workerpool")...)
	c.order(t, "workerpoolorder", map[string]any{"tag": tag, "workerpoolprice": "0", "volume": "1", "category": "0", "trust": "0"})
	c.call(t, with(c.as(pool), "order", "sign", "--workerpool")...)
	c.call(t, with(c.as(requester), "order", "init", "--request")...)
	c.order(t, "requestorder", map[string]any{
		"app": common.Address(rec.App.Address).Hex(), "appmaxprice": "0", "workerpoolmaxprice": "0", "volume": "1", "tag": tag, "category": "0", "trust": "0",
		"params":    map[string]any{"iexec_args": "x", "iexec_result_storage_provider": "ipfs"},
		"requester": address(requester), "beneficiary": address(requester),
	})
	skip := []string{"--skip-preflight-check"}
	if c.version == 5 {
		skip = []string{"--skip-request-check"}
	}
	c.call(t, with(append(c.as(requester), skip...), "order", "sign", "--request")...)
	fill := with(append(c.as(requester), skip...), "order", "fill", "--app", rec.Order.Hash.Hex(), "--force")
	deal := c.call(t, fill...)
	if deal["dealid"] == nil {
		t.Errorf("iexec %d made no deal: %v", c.version, deal)
	}
}

// consumed asks the hub how many runs of an order were sold.
func consumed(t *testing.T, c world.Chain, order common.Hash) int64 {
	t.Helper()
	hub := bind.NewBoundContract(c.Hub, poco.HubABI(), c.Client, c.Client, c.Client)
	var out []any
	must(t, hub.Call(&bind.CallOpts{Context: t.Context()}, &out, "viewConsumed", order))
	return out[0].(*big.Int).Int64()
}

// What a version refuses, and that plan says so before.
func TestRefusals(t *testing.T) {
	s := newStage(t)
	for name, tt := range map[string]struct {
		version      int
		chain        world.Chain
		enclave, tag string
		words, plan  string
	}{
		"8: tag 0x1":            {8, s.V5, legacyEnclave, "tee", "tee", "SDK 8"},
		"9: tag 0x1":            {9, s.V6, noEnclave, "tee", "", "SDK 9"},
		"9: any enclave value":  {9, s.V6, legacyEnclave, "tee,tdx", "no longer supported", "SDK 9"},
		"9: a JSON enclave too": {9, s.V6, jsonEnclave, "tee,scone", "no longer supported", "SDK 9"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t, s, tt.version, tt.chain)
			r := release{"refused-" + strings.NewReplacer(":", "", " ", "-").Replace(strings.ToLower(name)), tt.chain, tt.enclave, tt.tag, c.dir}
			rec := s.release(t, r)
			if out, errs := s.mrelease(t, r, "plan", "--version", "1.0.0"); !strings.Contains(out+errs, tt.plan) {
				t.Errorf("plan does not speak of %s:\n%s%s", tt.plan, out, errs)
			}
			if tt.words == "" { // it signs what was asked for with more bits: such an order is another one
				return
			}
			said := c.refuse(t, with(c.as(owner), "app", "publish", common.Address(rec.App.Address).Hex(), "--tag", tt.tag, "--force")...)
			if !strings.Contains(said, tt.words) {
				t.Errorf("iexec %d refuses for another reason:\n%s", tt.version, said)
			}
		})
	}
}

// An app, an order and a wallet file that the command line made are read by ours.
func TestReadsTheirs(t *testing.T) {
	s := newStage(t)
	c := newCLI(t, s, 9, s.V6)
	c.call(t, with(c.initAs(owner), "app", "init")...)
	deployed := c.call(t, with(c.as(owner), "app", "deploy")...)
	app := common.HexToAddress(deployed["address"].(string))
	published := c.call(t, with(c.as(owner), "app", "publish", app.Hex(), "--price", "1", "--volume", "7", "--force")...)
	hash := common.HexToHash(published["orderHash"].(string))

	client, err := chain.Connect(t.Context(), poco.Chain{Name: s.V6.Name, ID: s.V6.ID, RPC: s.V6.RPC, Hub: s.V6.Hub})
	must(t, err)
	there, err := chain.ReadApp(t.Context(), client, app)
	if err != nil || there.Owner.Hex() != address(owner) || there.Type != poco.TypeDocker {
		t.Errorf("app is %+v, %v", there, err)
	}
	order, err := market.Client{URL: s.Market, ChainID: s.V6.ID}.Order(t.Context(), hash)
	must(t, err)
	if order.Order.Hash(client.Domain()) != hash || order.Order.Volume.Int64() != 7 {
		t.Errorf("order reads as %+v", order)
	}
	must(t, chain.CheckOrder(t.Context(), client, order.Order, there.Owner))
	file, err := chain.FindKeystore(c.dir, there.Owner)
	must(t, err)
	wallet, err := chain.OpenKeystore(file, []byte(walletPassword))
	if err != nil || wallet.Address != there.Owner {
		t.Errorf("wallet %s opens as %s, %v", filepath.Base(file), wallet.Address, err)
	}
}
