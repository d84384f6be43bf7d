package market_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// dealer makes deals on the chain; none of its orders is published.
type dealer struct {
	*bench
	pool  common.Address
	buyer node.Wallet
}

// deal matches orders for one run in a category, and returns the request's hash.
func (d *dealer) deal(category int) common.Hash {
	d.Helper()
	text := fmt.Sprint(category)
	app := d.signed(d.order(map[string]any{"volume": "1"}), d.owner)
	offer := d.signed(newOrder(workerpoolOrder, map[string]any{"workerpool": d.pool.Hex(), "volume": "1", "category": text}), wallet(d.T, 3))
	request := d.signed(newOrder(requestOrder, map[string]any{
		"app": d.app.Hex(), "requester": d.buyer.Address.Hex(), "beneficiary": d.stranger.Address.Hex(), "category": text, "volume": "1", "params": "<&>",
	}), d.buyer)
	none := newOrder(datasetOrder, map[string]any{"volume": "0", "salt": common.Hash{}.Hex()})
	d.transact(4, d.chain.Hub, d.pack("matchOrders(order,order,order,order)", app, none, offer, request))
	return d.hash(request)
}

// row is what is compared of a deal in a list.
type row struct {
	Dealid, RequestHash, TransactionHash, BlockTimestamp, Params string
	App                                                          struct{ Pointer, Owner string }
	Requester, Beneficiary                                       string
	Category, Volume, BotSize                                    int
	BlockNumber                                                  uint64
	ChainID                                                      int `json:"chainId"`
}

func (b *bench) rows(query string) (list []row, count, next int) {
	b.Helper()
	var page struct {
		OK              bool
		Deals           []row
		Count, NextPage int
	}
	a := b.request(http.MethodGet, "/deals?"+query, "", "")
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || !page.OK {
		b.Fatalf("GET /deals?%s: %s", query, a)
	}
	return page.Deals, page.Count, page.NextPage
}

func TestDealsAreListed(t *testing.T) {
	six := start(t)
	five := &bench{t, six.w, six.w.V5, six.owner, six.stranger, common.Address{}} // whose deals have no sponsor
	five.app = five.register("hello")
	for _, b := range []*bench{six, five} {
		d := dealer{b, b.createWorkerpool(3), wallet(t, 4)}
		if _, count, _ := b.rows(""); count != 0 {
			t.Errorf("%d deals before there was one", count)
		}
		var requests []string
		for i := range 12 {
			requests = append(requests, d.deal(i%2).Hex())
		}
		first, count, next := b.rows("pageSize=10")
		second, _, end := b.rows("pageSize=10&pageIndex=1")
		legacy, _, _ := b.rows("page=11")
		if count != 12 || len(first) != 10 || next != 10 || len(second) != 2 || end != 0 {
			t.Fatalf("%d deals, pages of %d (next %d) and %d (next %d)", count, len(first), next, len(second), end)
		}
		for i, got := range append(first, second...) {
			if want := requests[11-i]; got.RequestHash != want {
				t.Errorf("deal %d is of request %s, want %s: the newest first", i, got.RequestHash, want)
			}
		}
		oldest := second[1]
		if len(legacy) != 1 || legacy[0] != oldest {
			t.Errorf("page=11 leaves %+v, want the oldest", legacy)
		}
		if oldest.App.Pointer != b.app.Hex() || oldest.App.Owner != b.owner.Address.Hex() || oldest.Requester != d.buyer.Address.Hex() ||
			oldest.Beneficiary != b.stranger.Address.Hex() || oldest.Params != "<&>" || oldest.Volume != 1 || oldest.BotSize != 1 || oldest.ChainID != int(b.chain.ID) {
			t.Errorf("the oldest deal is %+v", oldest)
		}
		b.checkEvent(oldest.TransactionHash, oldest.BlockNumber, oldest.BlockTimestamp)
		d.filters(requests[0])
		d.single(oldest)
	}
}

// checkEvent compares what is told of an event with its transaction.
func (b *bench) checkEvent(tx string, block uint64, timestamp string) {
	b.Helper()
	header, err := b.chain.Client.HeaderByNumber(b.Context(), b.receipt(common.HexToHash(tx)).BlockNumber)
	if err != nil {
		b.Fatal(err)
	}
	if header.Number.Uint64() != block || isoTime(header.Time) != timestamp {
		b.Errorf("told of block %d at %s, want %s at %s", block, timestamp, header.Number, isoTime(header.Time))
	}
}

// filters narrows the list by each of its parameters.
func (d *dealer) filters(request string) {
	d.Helper()
	nobody := wallet(d.T, 5).Address.Hex()
	for query, want := range map[string]int{
		"category=0": 6, "category=2": 0, "requestorderHash=" + request: 1, "apporderHash=" + request: 0, "datasetorderHash=" + request: 0, "workerpoolorderHash=" + request: 0,
		"requester=" + d.buyer.Address.Hex(): 12, "beneficiary=" + d.stranger.Address.Hex(): 12, "app=" + strings.ToLower(d.app.Hex()): 12, "workerpool=" + d.pool.Hex(): 12,
		"dataset=" + d.app.Hex(): 0, "appOwner=" + d.owner.Address.Hex(): 12, "workerpoolOwner=" + wallet(d.T, 3).Address.Hex(): 12, "datasetOwner=" + nobody: 0,
		"app=" + d.app.Hex() + "&requester=" + nobody: 0, "category=1&requester=" + d.buyer.Address.Hex(): 6,
	} {
		if _, count, _ := d.rows(query); count != want {
			d.Errorf("%s: %d deals, want %d", query, count, want)
		}
	}
}

// single asks for one deal, for those of a category, and for what there is not.
func (d *dealer) single(want row) {
	d.Helper()
	a := d.request(http.MethodGet, "/deals/"+strings.ToUpper(want.Dealid[2:4]), "", "")
	d.wantAnswer(a, "400 dealid must be a bytes32 hexstring")
	d.wantAnswer(d.request(http.MethodGet, "/deals/"+tag(1), "", ""), "404 deal not found")
	a = d.request(http.MethodGet, "/deals/"+want.Dealid, "", "")
	var got row
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got != want {
		d.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if begin := fmt.Sprintf(`{"ok":true,"dealid":"%s","chainId":%d,"app":{"pointer":`, want.Dealid, d.chain.ID); !strings.HasPrefix(a.body, begin) {
		d.Errorf("a deal begins %.120s, want %s", a.body, begin)
	}
	var candles struct{ OHLC [][3]any }
	a = d.request(http.MethodGet, "/ohlc?category=0", "", "")
	if err := json.Unmarshal([]byte(a.body), &candles); err != nil || len(candles.OHLC) != 6 || candles.OHLC[5] != [3]any{want.BlockTimestamp, 0., 1.} {
		d.Errorf("ohlc: %s, %v", a, err)
	}
	d.wantAnswer(d.request(http.MethodGet, "/ohlc?category=9", "", ""), `200`)
	d.wantAnswer(d.request(http.MethodGet, "/ohlc", "", ""), "400 category is a required field")
	for parameter, want := range map[string]string{
		"category=x":       "400 category must be a `number` type, but the final value was: `NaN` (cast from the value `\"x\"`).",
		"requester=any":    "400 requester is not a valid ethereum address",
		"app=":             "400 app is not a valid ethereum address",
		"apporderHash=0x1": "400 apporderHash must be a bytes32 hexstring",
		"pageSize=9":       "400 pageSize must be greater than or equal to 10",
	} {
		d.wantAnswer(d.request(http.MethodGet, "/deals?"+parameter, "", ""), want)
	}
}

// A deal is known when the market has seen its block.
func TestDealsLagBehindTheChain(t *testing.T) {
	b := start(t)
	d := dealer{b, b.createWorkerpool(3), wallet(t, 4)}
	d.deal(0)
	if err := b.w.Faults.Add(fault.Rule{Service: "watcher", Drop: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1, 1} {
		if _, count, _ := b.rows(""); count != want {
			t.Errorf("%d deals, want %d", count, want)
		}
	}
}

func TestCategories(t *testing.T) {
	b := start(t)
	for query, want := range map[string]string{
		"": "XS S M L XL", "minWorkClockTimeRef=1200": "S M L XL", "maxWorkClockTimeRef=1200": "XS S", "minWorkClockTimeRef=301&maxWorkClockTimeRef=3600": "S M", "page=3": "L XL", "pageSize=10&pageIndex=1": "",
	} {
		var list struct {
			Categories []struct {
				Name, TransactionHash, BlockTimestamp string
				BlockNumber                           uint64
			}
		}
		if err := json.Unmarshal([]byte(b.request(http.MethodGet, "/categories?"+query, "", "").body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range list.Categories {
			names = append(names, c.Name)
			b.checkEvent(c.TransactionHash, c.BlockNumber, c.BlockTimestamp)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	a := b.request(http.MethodGet, "/categories/4", "", "")
	if begin := `{"ok":true,"catid":4,"chainId":"65535","name":"XL","description":"\"\"","workClockTimeRef":36000,"transactionHash":"0x`; !strings.HasPrefix(a.body, begin) {
		t.Errorf("a category is %s, want %s", a, begin)
	}
	for path, want := range map[string]string{
		"/categories/5":                         "404 category not found",
		"/categories/-1":                        "400 catid must be greater than or equal to 0",
		"/categories/1.5":                       "400 catid must be an integer",
		"/categories/x":                         "400 catid must be a `number` type, but the final value was: `NaN` (cast from the value `\"x\"`).",
		"/categories?minWorkClockTimeRef=-1":    "400 minWorkClockTimeRef must be greater than or equal to 0",
		"/categories?maxWorkClockTimeRef=1e300": "400 maxWorkClockTimeRef must be less than or equal to 9007199254740991",
	} {
		b.wantAnswer(b.request(http.MethodGet, path, "", ""), want)
	}
}
