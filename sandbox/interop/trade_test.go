//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
)

// trades lets the command line look at our app, find our order in the market,
// and fill it into a deal.
func (c *cli) trades(t *testing.T) {
	r := c.ours("traded", c.enclave, c.tag)
	rec := c.release(t, r)
	if who := c.obstacles(t, r); slices.Contains(who, c.sdk()) {
		t.Errorf("plan says that %s cannot use the order", c.sdk())
	}
	c.showsApp(t, rec)
	c.findsSecret(t, rec)
	c.findsOrder(t, rec)
	c.makesOrders(t, rec)
	deal := c.as(t, c.requester(), append([]string{"order", "fill", "--app", rec.Order.Hash.Hex(), "--force"}, c.unchecked...)...)
	c.dealIsOnChain(t, rec, common.HexToHash(text(t, deal, "dealid")))
	c.findsDeal(t, rec, text(t, deal, "dealid"))
	there, err := market.Find[poco.SignedAppOrder](t.Context(), market.Client{URL: c.Market, ChainID: c.chain.ID}, rec.Order.Hash)
	if err != nil || there.Remaining != 999_999 {
		t.Errorf("the market says %+v, %v; want 999999 remaining", there, err)
	}
	if out, told := c.mrelease(t, r, "verify", r.name+".json"); !strings.Contains(out, "PASSED") || !strings.Contains(told, " 999999 runs remaining") {
		t.Errorf("verify says %s\n%s", out, told)
	}
	c.closesAndReopens(t, r, rec)
}

// closesAndReopens lets the command line try to fill the order once it was closed, and
// another one of the same release that was opened in its place.
func (c *cli) closesAndReopens(t *testing.T, r release, rec record.Record) {
	t.Helper()
	fill := func(hash string) []string {
		return append([]string{"order", "fill", "--app", hash, "--force"}, c.unchecked...)
	}
	c.mrelease(t, r, "order", "close", rec.Order.Hash.Hex())
	c.as(t, c.requester(), append([]string{"order", "sign", "--request", "--force"}, c.unchecked...)...)
	c.refuses(t, "apporder is fully consumed", append(fill(rec.Order.Hash.Hex()), c.wallet(c.requester())...)...)
	out, _ := c.mrelease(t, r, "order", "publish", "1.0.0")
	hash := strings.TrimSpace(out)
	if hash == rec.Order.Hash.Hex() {
		t.Errorf("order %s was closed, and is published again", hash)
	}
	c.as(t, c.requester(), fill(hash)...)
	if out, told := c.mrelease(t, r, "verify", r.name+".json"); !strings.Contains(out, "PASSED") || !strings.Contains(told, hash+" is open, 999999 runs remaining") {
		t.Errorf("verify says %s\n%s", out, told)
	}
}

// showsApp compares what the command line shows of the app with the record.
func (c *cli) showsApp(t *testing.T, rec record.Record) {
	t.Helper()
	var shown struct {
		Owner, AppName, AppType, AppMultiaddr, AppChecksum string
		AppMREnclave                                       string
	}
	answer := c.call(t, "app", "show", common.Address(rec.App.Address).Hex(), "--chain", "local")
	part(t, answer, "app", &shown)
	got := poco.App{
		Owner: common.HexToAddress(shown.Owner), Name: shown.AppName, Type: shown.AppType, Multiaddr: []byte(shown.AppMultiaddr),
		Checksum: common.HexToHash(shown.AppChecksum), MREnclave: []byte(shown.AppMREnclave),
	}
	if diff := got.Diff(rec.OnChain()); len(diff) > 0 {
		t.Errorf("iexec %d shows the app with %v:\n%s", c.version, diff, encode(t, answer))
	}
}

// findsSecret lets the command line ask the secret service for the secret that the release
// gave to its app, and refuse to give it another one. Version 5 knows of none.
func (c *cli) findsSecret(t *testing.T, rec record.Record) {
	t.Helper()
	if c.version < 8 {
		return
	}
	app := common.Address(rec.App.Address).Hex()
	var there bool
	part(t, c.call(t, "app", "check-secret", app, "--chain", "local"), "isSecretSet", &there)
	if !there {
		t.Errorf("iexec %d finds no secret of the app", c.version)
	}
}

// findsOrder compares the order that the command line finds with the record's.
func (c *cli) findsOrder(t *testing.T, rec record.Record) {
	t.Helper()
	hash := rec.Order.Hash.Hex()
	book := encode(t, c.call(t, "orderbook", "app", common.Address(rec.App.Address).Hex(), "--chain", "local"))
	if !strings.Contains(book, hash) {
		t.Errorf("iexec %d does not find order %s in the book:\n%s", c.version, hash, book)
	}
	answer := c.call(t, "order", "show", "--app", hash, "--chain", "local")
	var shown struct{ Order poco.SignedAppOrder }
	part(t, answer, "apporder", &shown)
	if shown.Order.AppPrice == nil || !shown.Order.Equal(rec.Order.Signed) {
		t.Errorf("iexec %d shows another order than %s:\n%s", c.version, hash, encode(t, answer))
	}
}

// makesOrders makes the two other orders of a deal, with the command line's own
// checks of each.
func (c *cli) makesOrders(t *testing.T, rec record.Record) {
	t.Helper()
	tag := strings.Split(c.tag, ",")
	c.call(t, append([]string{"workerpool", "init"}, c.local(c.pool())...)...)
	must(t, c.Edit(map[string]any{"description": "pool of " + rec.App.Name}, "workerpool"))
	c.as(t, c.pool(), "workerpool", "deploy")
	c.as(t, c.pool(), "order", "init", "--workerpool")
	must(t, c.Edit(map[string]any{"tag": tag, "workerpoolprice": "0", "volume": "5", "category": "0", "trust": "0"}, "order", "workerpoolorder"))
	c.as(t, c.pool(), "order", "sign", "--workerpool")
	c.as(t, c.requester(), "order", "init", "--request")
	must(t, c.Edit(map[string]any{
		"app": common.Address(rec.App.Address).Hex(), "appmaxprice": "0", "workerpoolmaxprice": "0", "volume": "1", "tag": tag, "category": "0", "trust": "0",
		"params":    map[string]any{"iexec_args": "x", "iexec_result_storage_provider": "ipfs"},
		"requester": address(c.requester()), "beneficiary": address(c.requester()),
	}, "order", "requestorder"))
	c.as(t, c.requester(), append([]string{"order", "sign", "--request"}, c.unchecked...)...)
}

// dealIsOnChain asks the hub for the deal and how much of the order it took.
func (c *cli) dealIsOnChain(t *testing.T, rec record.Record, id common.Hash) {
	t.Helper()
	hub := bind.NewBoundContract(c.chain.Hub, poco.HubABI(), c.chain.Client, c.chain.Client, c.chain.Client)
	var out []any
	must(t, hub.Call(&bind.CallOpts{Context: t.Context()}, &out, "viewConsumed", rec.Order.Hash))
	if n := out[0].(*big.Int); n.Cmp(big.NewInt(1)) != 0 {
		t.Errorf("the hub says that %s runs of the order are consumed, want 1", n)
	}
	deal, err := c.chain.Client.CallContract(t.Context(), viewDeal(c.chain.Hub, id), nil)
	must(t, err)
	// viewDeal's answer begins with the offset of its tuple; the app stands first in it.
	if app := common.BytesToAddress(deal[32:64]); app != common.Address(rec.App.Address) {
		t.Errorf("the deal %s is of app %s, want %s", id, app, common.Address(rec.App.Address))
	}
}

// findsDeal lets the command line ask the market for the deals that an order was matched in.
func (c *cli) findsDeal(t *testing.T, rec record.Record, id string) {
	t.Helper()
	answer := c.call(t, "order", "show", "--app", rec.Order.Hash.Hex(), "--deals", "--chain", "local")
	var shown struct {
		Deals struct {
			Count     int
			LastDeals []struct {
				Dealid string
				App    struct{ Pointer string }
				Volume int
			}
		}
	}
	part(t, answer, "apporder", &shown)
	if d := shown.Deals; d.Count != 1 || len(d.LastDeals) != 1 || d.LastDeals[0].Dealid != id || d.LastDeals[0].App.Pointer != common.Address(rec.App.Address).Hex() || d.LastDeals[0].Volume != 1 {
		t.Errorf("iexec %d shows other deals than %s:\n%s", c.version, id, encode(t, answer))
	}
}

// sdk is the command line's name in what plan says.
func (c *cli) sdk() string { return fmt.Sprintf("iExec's SDK %d", c.version) }

// obstacles returns who cannot use the order, as plan says.
func (c *cli) obstacles(t *testing.T, r release) []string {
	t.Helper()
	out, _ := c.mrelease(t, r, "plan", "--version", "1.0.0", "--json")
	var plan struct{ Obstacles []poco.Obstacle }
	must(t, json.Unmarshal([]byte(out), &plan))
	var who []string
	for _, o := range plan.Obstacles {
		who = append(who, o.Who)
	}
	return who
}

// refusesRelease lets the command line refuse a release, with plan having said so.
// The other orders of a deal are left from the trade.
func (c *cli) refusesRelease(t *testing.T, refused refusal) {
	r := c.ours("refused-"+strings.ReplaceAll(strings.ToLower(refused.name), " ", "-"), refused.enclave, refused.tag)
	rec := c.release(t, r)
	if who := c.obstacles(t, r); !slices.Contains(who, c.sdk()) {
		t.Errorf("plan does not speak of %s, only of %q", c.sdk(), who)
	}
	publish := []string{"app", "publish", common.Address(rec.App.Address).Hex(), "--tag", refused.tag, "--force"}
	c.refuses(t, refused.publish, append(publish, c.wallet(c.owner)...)...)
	fill := []string{"order", "fill", "--app", rec.Order.Hash.Hex(), "--force"}
	c.refuses(t, refused.fill, append(fill, c.wallet(c.requester())...)...)
}
