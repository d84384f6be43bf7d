package market_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// exchange is a request that was recorded, and its answer.
type exchange struct {
	Method, URL, ReqBody, ResBody string
	Status                        int
	ResHeaders                    map[string]string
	Authorization                 string
}

// The recorded traffic is played again: the app is the recorded one at the
// recorded address, and apart from challenges and times every answer must be the
// same to the byte.
func TestAnswersAreThoseOfTheRecordedMarket(t *testing.T) {
	b := start(t)
	b.registerRecordedApp()
	var recorded []exchange
	data, err := os.ReadFile("testdata/wire-sdk9.0.1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	changing := regexp.MustCompile(`(Gateway: )\w{32}|("publicationTimestamp":")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	for i, x := range recorded {
		authorization := ""
		if x.Authorization != "" {
			authorization = b.authorization(b.owner)
		}
		got := b.request(x.Method, x.URL, x.ReqBody, authorization)
		body, want := changing.ReplaceAllString(got.body, "$1$2"), changing.ReplaceAllString(x.ResBody, "$1$2")
		if got.status != x.Status || body != want {
			t.Errorf("exchange %d, %s %s:\n got %d %s\nwant %d %s", i, x.Method, x.URL, got.status, body, x.Status, want)
		}
		for name, value := range x.ResHeaders {
			if got.header.Get(name) != value {
				t.Errorf("exchange %d: header %s: got %q, want %q", i, name, got.header.Get(name), value)
			}
		}
	}
}

// registerRecordedApp registers what iExec's CLI 9.0.1 deploys when nothing in
// its iexec.json was changed; that is the app of the recorded traffic.
func (b *bench) registerRecordedApp() {
	b.Helper()
	r, err := apps.Register(b.Context(), b.connect(), b.owner, poco.App{
		Owner: b.owner.Address, Name: "hello-world", Type: poco.TypeDocker, Multiaddr: []byte("iexechub/python-hello-world:8.0.4"),
		Checksum: common.HexToHash("0xb0b664b7a6d249f81c067a9262b1763144eeb3ca63e553567f71673442ce9e84"),
	}, measure.Enclave{})
	if err != nil {
		b.Fatal(err)
	}
	if want := common.HexToAddress("0x1A22c87811fD64718987FD77a1b678F5B8B256f3"); r.Address != want {
		b.Fatalf("the app is at %s, want %s as recorded", r.Address, want)
	}
}

func TestRulesOfPublication(t *testing.T) {
	b := start(t)
	valid := func() order { return b.signed(b.order(nil), b.owner) }
	changed := func(field string, change func(string) any) func() order {
		return func() order {
			o := valid()
			o.values[field] = change(o.values[field].(string))
			return o
		}
	}
	volume := func(v string) func() order {
		return func() order { return b.signed(b.order(map[string]any{"volume": v}), b.owner) }
	}
	other := common.HexToAddress("0x1111111111111111111111111111111111111111")
	for name, tt := range map[string]struct {
		order func() order
		want  string
	}{
		"valid":                 {valid, "200"},
		"lower-case address":    {changed("app", func(s string) any { return strings.ToLower(s) }), "200"},
		"amounts as numbers":    {changed("volume", func(s string) any { n, _ := strconv.Atoi(s); return n }), "200"},
		"upper-case signature":  {changed("sign", func(s string) any { return "0x" + strings.ToUpper(s[2:]) }), "200"},
		"compact signature":     {changed("sign", func(s string) any { return compact(s) }), "200"},
		"highest volume":        {volume("9007199254740991"), "200"},
		"volume -1":             {changed("volume", func(string) any { return -1 }), "400 order.volume must be greater than or equal to 1"},
		"volume 1.5":            {changed("volume", func(string) any { return 1.5 }), "400 order.volume must be an integer"},
		"volume in hex":         {changed("volume", func(string) any { return "0x1" }), "200"},
		"no volume":             {changed("volume", func(string) any { return "" }), "400 order.volume must be a `number` type, but the final value was: `NaN` (cast from the value `\"\"`)."},
		"price and volume":      {func() order { o := valid(); o.values["appprice"], o.values["volume"] = "x", "x"; return o }, "400 order.volume must be a `number` type, but the final value was: `NaN` (cast from the value `\"x\"`)."},
		"missing before wrong":  {func() order { o := valid(); o.values["app"], o.values["sign"] = nil, "x"; return o }, "400 order.app is a required field"},
		"last missing":          {func() order { o := valid(); o.values["app"], o.values["tag"] = nil, nil; return o }, "400 order.tag is a required field"},
		"address without 0x":    {changed("app", func(s string) any { return s[2:] }), "200"},
		"volume 0":              {volume("0"), "400 order.volume must be greater than or equal to 1"},
		"volume too high":       {volume("9007199254740992"), "400 order.volume must be less than or equal to 9007199254740991"},
		"no tag":                {changed("tag", func(string) any { return nil }), "400 order.tag is a required field"},
		"bad tag":               {changed("tag", func(string) any { return "0x1" }), "400 order.tag must be a bytes32 hexstring"},
		"bad address":           {changed("app", func(string) any { return "0x1" }), "400 order.app is not a valid ethereum address"},
		"bad price":             {changed("appprice", func(string) any { return "-1" }), "400 order.appprice must be greater than or equal to 0"},
		"recovery id 0 or 1":    {changed("sign", func(s string) any { return oldRecovery(s) }), "403 invalid sign"},
		"changed after signing": {changed("appprice", func(string) any { return "1" }), "403 invalid sign"},
		"signed by a stranger":  {func() order { return b.signed(b.order(nil), b.stranger) }, "403 invalid sign"},
		"no such app": {func() order { return b.signed(b.order(map[string]any{"app": other.Hex()}), b.owner) },
			"403 Resource not deployed"},
		"closed before": {func() order { o := valid(); b.close(o); return o }, "403 order already consumed"},
		"published before": {func() order { o := valid(); b.publish(o, b.owner); return o },
			"403 order already published"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.w, b.chain, b.owner, b.stranger, b.app}
			b.wantAnswer(b.request(http.MethodPost, "/apporders", tt.order().body(), b.authorization(b.owner)), tt.want)
		})
	}
}

// wantAnswer compares an answer with a status and, for a refusal, its message.
func (b *bench) wantAnswer(got answer, want string) {
	b.Helper()
	status, message, _ := strings.Cut(want, " ")
	if strconv.Itoa(got.status) != status || message != "" && got.body != fmt.Sprintf(`{"ok":false,"error":%q}`, message) {
		b.Errorf("got %s, want %s", got, want)
	}
}

// compact writes a signature in the 64 bytes of EIP-2098.
func compact(sign string) string {
	sig := hexutil.MustDecode(sign)
	if sig[64] == 28 {
		sig[32] |= 0x80
	}
	return hexutil.Encode(sig[:64])
}

// oldRecovery writes a signature with v 0 or 1.
func oldRecovery(sign string) string {
	sig := hexutil.MustDecode(sign)
	sig[64] -= 27
	return hexutil.Encode(sig)
}

func TestRulesOfRequests(t *testing.T) {
	b := start(t)
	o := b.signed(b.order(nil), b.owner)
	used := b.authorization(b.owner)
	b.wantAnswer(b.request(http.MethodPost, "/apporders", b.signed(b.order(nil), b.owner).body(), used), "200")
	forged := strings.Replace(b.authorization(b.stranger), b.stranger.Address.Hex(), b.owner.Address.Hex(), 1)
	parts, stolen := strings.Split(b.authorization(b.owner), "_"), b.authorizationBy(b.owner.Address, b.stranger)
	otherHash := strings.Join([]string{b.hash(o).Hex(), parts[1], parts[2]}, "_")
	otherChain := &bench{t, b.w, b.w.V5, b.owner, b.stranger, b.app}
	for name, tt := range map[string]struct{ method, path, body, authorization, want string }{
		"no authorization":     {"POST", "/apporders", o.body(), "", "403 invalid authorization"},
		"no such thing":        {"POST", "/apporders", o.body(), "0x1_0x2_0x3", "403 invalid authorization"},
		"used":                 {"POST", "/apporders", o.body(), used, "403 invalid authorization"},
		"of somebody else":     {"POST", "/apporders", o.body(), forged, "403 invalid authorization"},
		"signed by a stranger": {"POST", "/apporders", o.body(), stolen, "403 invalid authorization"},
		"other hash":           {"POST", "/apporders", o.body(), otherHash, "403 invalid authorization"},
		"of another chain":     {"POST", "/apporders", o.body(), otherChain.authorization(b.owner), "403 invalid authorization"},
		"stranger publishes":   {"POST", "/apporders", o.body(), b.authorization(b.stranger), "403 only order signer " + b.owner.Address.Hex() + " can publish an order"},
		"not JSON":             {"POST", "/apporders", "{", "", "500 Internal error"},
		"signature without 0x": {"POST", "/apporders", o.body(), strings.Replace(b.authorization(b.owner), "_0x", "_", 1), "403 invalid authorization"},
		"no chain":             {"GET", "/challenge?chainId=", "", "", "400 chainId  is not supported"},
		"bad legacy page":      {"GET", "/apporders?app=any&page=abc", "", "", "400 page must be a `number` type, but the final value was: `NaN` (cast from the value `\"abc\"`)."},
		"bad strictness":       {"GET", "/apporders?app=any&isDatasetStrict=maybe", "", "", "400 isDatasetStrict must be a `boolean` type, but the final value was: `\"maybe\"`."},
		"a page twice":         {"GET", "/apporders?app=any&pageSize=20&pageSize=20", "", "", "200"},
		"a hash twice":         {"GET", "/deals?apporderHash=0x1&apporderHash=0x1", "", "", "500 Internal error"},
		"unknown chain":        {"GET", "/challenge?chainId=1", "", "", "400 chainId 1 is not supported"},
		"no address":           {"GET", "/challenge", "", "", "400 address is a required field"},
		"unknown order":        {"GET", "/apporders/" + b.hash(o).Hex(), "", "", "404 apporder not found"},
		"bad hash":             {"GET", "/apporders/0x1", "", "", "400 orderHash must be a bytes32 hexstring"},
		"list without app":     {"GET", "/apporders", "", "", "400 app or appOwner is required"},
		"list without dataset": {"GET", "/datasetorders", "", "", "400 dataset or datasetOwner is required"},
		"small page":           {"GET", "/apporders?app=any&pageSize=5", "", "", "400 pageSize must be greater than or equal to 10"},
		"large page":           {"GET", "/apporders?app=any&pageSize=1001", "", "", "400 pageSize must be less than or equal to 1000"},
		"bad filter":           {"GET", "/apporders?app=any&requester=me", "", "", `400 requester is neither "any" nor a valid ethereum address`},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t, b.w, b.chain, b.owner, b.stranger, b.app}
			b.wantAnswer(b.request(tt.method, tt.path, tt.body, tt.authorization), tt.want)
		})
	}
}

// A body is looked at when its author is known.
func TestRulesOfBodies(t *testing.T) {
	b := start(t)
	for body, want := range map[string]string{
		"{}":             "order.sign is a required field",
		"":               "order.sign is a required field",
		"[]":             "this must be a `object` type, but the final value was: `[]`.",
		`{"order":null}`: "order is a required field",
		`{"order":[]}`:   "order must be a `object` type, but the final value was: `[]`.",
	} {
		b.wantAnswer(b.request(http.MethodPost, "/apporders", body, "0x1_0x2_0x3"), "403 invalid authorization")
		b.wantAnswer(b.request(http.MethodPost, "/apporders", body, b.authorization(b.owner)), "400 "+want)
	}
}

// A parameter that is given twice is a list to the real market.
func TestParameterTwice(t *testing.T) {
	b := start(t)
	a := b.request(http.MethodGet, "/apporders?app=a&app=b", "", "")
	var got struct{ Error string }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if want := "app must be a `string` type, but the final value was: `[\n  \"\\\"a\\\"\",\n  \"\\\"b\\\"\"\n]`."; a.status != 400 || got.Error != want {
		t.Errorf("got %d %q, want %q", a.status, got.Error, want)
	}
}

// A body that is not sent as JSON is none.
func TestBodyOfAnotherType(t *testing.T) {
	b := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/apporders?chainId=%d", b.w.Market, b.chain.ID), strings.NewReader(b.signed(b.order(nil), b.owner).body()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", b.authorization(b.owner))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
}

func TestUnpublish(t *testing.T) {
	b := start(t)
	hash := b.publish(b.signed(b.order(nil), b.owner), b.owner)
	one := fmt.Sprintf(`{"orderHash":%q}`, hash) // the target is orderHash unless something else is said
	b.wantAnswer(b.request(http.MethodPut, "/apporders", one, b.authorization(b.stranger)), "403 only order signer "+b.owner.Address.Hex()+" can unpublish an order")
	b.wantAnswer(b.request(http.MethodPut, "/apporders", one, b.authorization(b.owner)), "200")
	b.wantAnswer(b.request(http.MethodPut, "/apporders", one, b.authorization(b.owner)), "403 apporder with orderHash "+hash+" is not published")
	b.wantAnswer(b.request(http.MethodPut, "/apporders", `{"target":"unpublish_last"}`, b.authorization(b.owner)), "400 app is a required field")
	first := b.publish(b.signed(b.order(nil), b.owner), b.owner)
	second := b.publish(b.signed(b.order(nil), b.owner), b.owner)
	all := fmt.Sprintf(`{"target":"unpublish_all","app":%q}`, b.app)
	if got, want := b.request(http.MethodPut, "/apporders", all, b.authorization(b.owner)).body, fmt.Sprintf(`{"ok":true,"unpublished":[%q,%q]}`, second, first); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestChallengeIsSharedUntilItIsUsed(t *testing.T) {
	b := start(t)
	first := b.challenge(b.owner.Address)
	if again := b.challenge(b.owner.Address); again != first {
		t.Errorf("two callers got %q and %q", first, again)
	}
	if other := b.challenge(b.stranger.Address); other == first {
		t.Error("two addresses got the same challenge")
	}
	b.publish(b.signed(b.order(nil), b.owner), b.owner)
	if next := b.challenge(b.owner.Address); next == first {
		t.Error("a used challenge was handed out again")
	}
}

func TestWalletHasAtMostFiftyOpenOrders(t *testing.T) {
	b := start(t)
	for range 50 {
		b.publish(b.signed(b.order(nil), b.owner), b.owner)
	}
	refused := b.signed(b.order(nil), b.owner)
	b.wantAnswer(b.request(http.MethodPost, "/apporders", refused.body(), b.authorization(b.owner)), "403 maximum of 50 published open apporder has been reached for wallet "+b.owner.Address.Hex())
	b.request(http.MethodPut, "/apporders", fmt.Sprintf(`{"target":"unpublish_last","app":%q}`, b.app), b.authorization(b.owner))
	b.publish(refused, b.owner)
}

// state reads an order's status and what remains of it.
func (b *bench) state(kind, hash string) string {
	b.Helper()
	a := b.request(http.MethodGet, "/"+kind+"s/"+hash, "", "")
	var o struct {
		Status    string
		Remaining int
	}
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		b.Fatal(err)
	}
	return fmt.Sprintf("%s %d", o.Status, o.Remaining)
}

func TestClosedOrderIsCanceled(t *testing.T) {
	b := start(t)
	o := b.signed(b.order(map[string]any{"volume": "7"}), b.owner)
	hash := b.publish(o, b.owner)
	if got := b.state("apporder", hash); got != "open 7" {
		t.Errorf("before: %s, want open 7", got)
	}
	b.close(o)
	if got := b.state("apporder", hash); got != "canceled 0" {
		t.Errorf("after: %s, want canceled 0", got)
	}
	if got := b.listed("/apporders?app=" + b.app.Hex()); len(got) != 0 {
		t.Errorf("a closed order is listed: %v", got)
	}
}

// An order whose signer gave the app away is dead, and stays so when the app comes
// back, as nobody looked in between or not; posting it again opens it.
func TestOrderDiesWithTheOwnership(t *testing.T) {
	b := start(t)
	for _, looked := range []bool{true, false} {
		o := b.signed(b.order(nil), b.owner)
		hash := b.publish(o, b.owner)
		b.transact(1, b.chain.AppRegistry, b.pack("transferFrom(address,address,uint256)", b.owner.Address, b.stranger.Address, b.app.Big()))
		if looked {
			if got := b.state("apporder", hash); got != "dead 1" {
				t.Errorf("after the transfer: %s, want dead 1", got)
			}
			b.publish(b.signed(b.order(nil), b.stranger), b.stranger)
		}
		b.transact(2, b.chain.AppRegistry, b.pack("transferFrom(address,address,uint256)", b.stranger.Address, b.owner.Address, b.app.Big()))
		if got := b.state("apporder", hash); got != "dead 1" {
			t.Errorf("after the app came back: %s, want dead 1", got)
		}
		b.publish(o, b.owner)
		if got := b.state("apporder", hash); got != "open 1" {
			t.Errorf("published again: %s, want open 1", got)
		}
	}
}

// The market knows of the chain what it was told by its events, which may be late.
func TestMarketLagsBehindTheChain(t *testing.T) {
	b := start(t)
	o := b.signed(b.order(nil), b.owner)
	hash := b.publish(o, b.owner)
	b.close(o)
	if err := b.w.Faults.Add(fault.Rule{Service: "watcher", Drop: true, Times: 2}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"open 1", "open 1", "canceled 0"} {
		if got := b.state("apporder", hash); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// mrelease's own client, on the market that is tested above: with both chains,
// and with a job of the same wallet that takes its challenge away.
func TestClientOffersOnce(t *testing.T) {
	b := start(t)
	for _, c := range []*bench{b, {t, b.w, b.w.V5, b.owner, b.stranger, common.Address{}}} {
		app := c.register("offered")
		hub, client := c.connect(), market.Client{URL: b.w.Market, ChainID: c.chain.ID}
		order := orders.New(hub.Domain(), app, orders.Terms{Volume: 10, Tag: poco.TEE()})
		for _, want := range []bool{true, false} {
			offering, err := orders.Offer(t.Context(), hub, client, c.owner, order)
			if err != nil || offering.Published != want || offering.Remaining != 10 {
				t.Errorf("chain %d: offered %+v, %v; want published %t, 10 remaining", c.chain.ID, offering, err, want)
			}
		}
	}
}

// createWorkerpool makes a workerpool of an account.
func (b *bench) createWorkerpool(account int) common.Address {
	b.Helper()
	owner := wallet(b.T, account).Address
	pool := b.ask(b.chain.WorkerpoolRegistry, b.pack("predictWorkerpool(address,string)", owner, "pool"))
	b.transact(account, b.chain.WorkerpoolRegistry, b.pack("createWorkerpool(address,string)", owner, "pool"))
	return pool
}
