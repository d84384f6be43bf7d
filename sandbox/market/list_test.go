package market_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// listed returns the hashes of a list.
func (b *bench) listed(path string) []string {
	b.Helper()
	a := b.request(http.MethodGet, path, "", "")
	var list struct {
		OK     bool
		Orders []struct{ OrderHash string }
		Count  int
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || !list.OK {
		b.Fatalf("GET %s: %s", path, a)
	}
	var hashes []string
	for _, o := range list.Orders {
		hashes = append(hashes, o.OrderHash)
	}
	return hashes
}

func tag(n int) string { return fmt.Sprintf("0x%064x", n) }

func TestFilters(t *testing.T) {
	b := start(t)
	second := b.register("second")
	alice, bob := b.owner.Address.Hex(), b.stranger.Address.Hex()
	names := map[string]string{}
	for _, o := range []struct {
		name   string
		values map[string]any
	}{
		{"dear", map[string]any{"appprice": "9", "volume": "5"}},
		{"cheap", map[string]any{"appprice": "1", "volume": "2"}},
		{"tee", map[string]any{"appprice": "3", "tag": tag(3)}},
		{"for alice", map[string]any{"appprice": "4", "requesterrestrict": alice}},
		{"for a pool", map[string]any{"appprice": "5", "workerpoolrestrict": bob}},
		{"second", map[string]any{"app": second.Hex()}},
	} {
		names[b.publish(b.signed(b.order(o.values), b.owner), b.owner)] = o.name
	}
	for query, want := range map[string]string{
		"app=" + b.app.Hex():                   "cheap,tee,dear",
		"app=" + strings.ToLower(second.Hex()): "second",
		"app=any":                              "second,cheap,tee,dear",
		"appOwner=" + alice:                    "second,cheap,tee,dear",
		"appOwner=" + bob:                      "",
		"app=any&requester=" + alice:           "second,cheap,tee,for alice,dear",
		"app=any&isRequesterStrict=true&requester=" + alice:      "for alice",
		"app=any&requester=any&workerpool=any":                   "second,cheap,tee,for alice,for a pool,dear",
		"app=any&workerpool=" + bob + "&isWorkerpoolStrict=true": "for a pool",
		"app=any&minTag=" + tag(1):                               "tee",
		"app=any&maxTag=" + tag(1):                               "second,cheap,dear",
		"app=any&minTag=" + tag(1) + "&maxTag=" + tag(0x103):     "tee",
		"app=any&minVolume=2":                                    "cheap,dear",
	} {
		var got []string
		for _, hash := range b.listed("/apporders?" + query) {
			got = append(got, names[hash])
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: got %q, want %q", query, strings.Join(got, ","), want)
		}
	}
}

func TestPages(t *testing.T) {
	b := start(t)
	for range 25 {
		b.publish(b.signed(b.order(nil), b.owner), b.owner)
	}
	var all []string
	for query, next := range map[string]string{"pageSize=10": `"nextPage":10}`, "pageSize=10&pageIndex=1": `"nextPage":20}`, "pageSize=10&pageIndex=2": `"count":25}`} {
		path := "/apporders?app=" + b.app.Hex() + "&" + query
		if a := b.request(http.MethodGet, path, "", ""); !strings.Contains(a.body, `"count":25`) || !strings.HasSuffix(a.body, next) {
			t.Errorf("%s ends with %s, want %s", query, a.body[len(a.body)-30:], next)
		}
		all = append(all, b.listed(path)...)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != 25 {
		t.Errorf("the pages hold %d orders, want 25", len(all))
	}
}

// All four kinds, and a deal that is made of them on chain.
func TestDeal(t *testing.T) {
	b := start(t)
	pool := b.createWorkerpool(3)
	buyer := wallet(t, 4)
	app := b.signed(b.order(map[string]any{"volume": "3", "tag": tag(1)}), b.owner)
	offer := b.signed(newOrder(workerpoolOrder, map[string]any{"workerpool": pool.Hex(), "volume": "9", "tag": tag(1), "category": "2"}), wallet(t, 3))
	request := b.signed(newOrder(requestOrder, map[string]any{
		"app": b.app.Hex(), "requester": buyer.Address.Hex(), "beneficiary": buyer.Address.Hex(),
		"volume": "3", "tag": tag(1), "category": "2", "params": `{"iexec_args":"<&>"}`,
	}), buyer)

	b.wantAnswer(b.request(http.MethodPost, "/requestorders", request.body(), b.authorization(buyer)), "403 No tee enabled apporder published for app "+b.app.Hex())
	appHash, offerHash := b.publish(app, b.owner), b.publish(offer, wallet(t, 3))
	requestHash := b.publish(request, buyer)
	for path, want := range map[string]string{
		"/workerpoolorders?category=2":                                    offerHash,
		"/workerpoolorders?category=1":                                    "",
		"/workerpoolorders?workerpoolOwner=" + wallet(t, 3).Address.Hex(): offerHash,
		"/requestorders?requester=" + buyer.Address.Hex():                 requestHash,
		"/requestorders?app=" + pool.Hex():                                "",
		"/datasetorders?dataset=any":                                      "",
	} {
		if got := strings.Join(b.listed(path), ","); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if a := b.request(http.MethodGet, "/requestorders/"+requestHash, "", ""); !strings.Contains(a.body, `"params":"{\"iexec_args\":\"<&>\"}"`) {
		t.Errorf("the request's params are not as they were sent: %s", a)
	}

	b.transact(4, b.chain.Hub, b.pack("matchOrders(order,order,order,order)", app, newOrder(datasetOrder, map[string]any{"volume": "0", "salt": common.Hash{}.Hex()}), offer, request))
	for kind, hash := range map[string]string{"apporder": appHash, "requestorder": requestHash} {
		if got := b.state(kind, hash); got != "filled 0" {
			t.Errorf("%s: %s, want filled 0", kind, got)
		}
	}
	if got := b.state("workerpoolorder", offerHash); got != "open 6" {
		t.Errorf("workerpoolorder: %s, want open 6", got)
	}
	for hash, want := range map[string]int{appHash: 1, offerHash: 0} {
		if a := b.request(http.MethodGet, "/deals?apporderHash="+hash, "", ""); !strings.HasSuffix(a.body, fmt.Sprintf(`"count":%d}`, want)) {
			t.Errorf("deals of %s: %s, want %d", hash, a, want)
		}
	}
	if a := b.request(http.MethodGet, "/metrics", "", ""); !strings.HasSuffix(a.body, `"apporders":0,"datasetorders":0,"workerpoolorders":1,"requestorders":0}`) {
		t.Errorf("metrics: %s", a)
	}
}

// A request is taken only when there is an order that it could be matched with.
func TestRequestNeedsAnOfferThatFits(t *testing.T) {
	b := start(t)
	buyer := wallet(t, 4)
	for _, tt := range []struct {
		offer map[string]any
		want  string
	}{
		{map[string]any{"tag": tag(0)}, "403 No tee enabled apporder published for app APP"},
		{map[string]any{"tag": tag(1), "requesterrestrict": b.owner.Address.Hex()}, "403 No tee enabled apporder published for app APP"},
		{map[string]any{"tag": tag(1), "appprice": "5"}, "403 appmaxprice for app APP is too low, actual best price is 5 nRLC"},
		{map[string]any{"tag": tag(1)}, "200"},
	} {
		c := *b
		c.app = b.register(fmt.Sprint(tt.offer))
		c.publish(c.signed(c.order(tt.offer), b.owner), b.owner)
		request := c.signed(newOrder(requestOrder, map[string]any{"app": c.app.Hex(), "requester": buyer.Address.Hex(), "beneficiary": buyer.Address.Hex(), "tag": tag(1)}), buyer)
		answer := b.request(http.MethodPost, "/requestorders", request.body(), b.authorization(buyer))
		c.wantAnswer(answer, strings.ReplaceAll(tt.want, "APP", c.app.Hex()))
	}
	poor := b.signed(newOrder(requestOrder, map[string]any{"app": b.app.Hex(), "appmaxprice": "7", "volume": "3", "requester": buyer.Address.Hex()}), buyer)
	b.wantAnswer(b.request(http.MethodPost, "/requestorders", poor.body(), b.authorization(buyer)), "403 requester stake is too low to cover requestorder payment, minimum stake required is 21 nRLC")
}
