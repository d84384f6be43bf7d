package publishtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/world"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What a node and a market are asked by a first and a second release, line by
// line: a change of the protocol is a change of testdata.
func TestRequests(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		var log transcript
		p := profile(w, c)
		p.RPC, p.Market = log.record(t, "rpc", c.RPC), log.record(t, "market", w.Market)
		client, owner := connect(t, p), wallet(t, 1)
		var names []string
		for _, act := range []string{"first", "second"} {
			log.note(act + " release")
			reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "golden"), enclave)
			if err != nil {
				t.Fatal(err)
			}
			order := orders.New(client.Domain(), reg.Address, orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()})
			offering, err := orders.Offer(t.Context(), client, market.Client{URL: p.Market, ChainID: c.ID}, owner, order)
			if err != nil {
				t.Fatal(err)
			}
			names = []string{reg.Address.Hex(), "<app>", owner.Address.Hex(), "<owner>", c.Hub.Hex(), "<hub>", c.AppRegistry.Hex(), "<registry>", offering.Hash.Hex(), "<order>"}
		}
		compare(t, filepath.Join("testdata", "requests-"+c.Name+".golden"), log.text(names))
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Fatalf("%s:%d (go test -update writes it anew)\n got %s\nwant %s", file, i+1, g, w)
		}
	}
}

// transcript is what services were asked, in order.
type transcript struct {
	asked atomic.Int64 // how many requests they were
	lock  sync.Mutex
	lines []string
}

func (l *transcript) note(text string) { l.add("# " + text) }

// add writes lines down. A poll counts once.
func (l *transcript) add(lines ...string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, line := range lines {
		if n := len(l.lines); n == 0 || l.lines[n-1] != line {
			l.lines = append(l.lines, line)
		}
	}
}

// record stands before a service and writes down what it is asked.
func (l *transcript) record(t *testing.T, service, backend string) (at string) {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		line := service + " " + r.Method + " " + r.URL.String() + " " + string(body)
		if service == "rpc" {
			line = service + " " + strings.Join(calls(body), "\n"+service+" ")
		}
		if a := r.Header.Get("Authorization"); a != "" {
			line += " authorization " + secrets.ReplaceAllString(a, "<hash>_<signature>_")
		}
		l.asked.Add(1)
		l.add(strings.Split(line, "\n")...)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var secrets = regexp.MustCompile(`^0x[0-9a-f]{64}_0x[0-9a-f]{130}_`)

// calls writes each call of a request, of which there may be several in one.
func calls(body []byte) (lines []string) {
	var several []json.RawMessage
	if json.Unmarshal(body, &several) != nil {
		return []string{call(body)}
	}
	for _, c := range several {
		lines = append(lines, call(c))
	}
	return lines
}

// call writes a JSON-RPC request without its number. Of a transaction the fees
// are left out, which are the chain's at the time.
func call(body []byte) string {
	var request struct {
		Method string
		Params json.RawMessage
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err.Error()
	}
	if request.Method != "eth_sendRawTransaction" {
		return request.Method + " " + fees.ReplaceAllString(string(request.Params), "")
	}
	var raw []hexutil.Bytes
	var tx types.Transaction
	if err := json.Unmarshal(request.Params, &raw); err != nil || len(raw) != 1 {
		return fmt.Sprintf("%s of %d transactions, %v", request.Method, len(raw), err)
	}
	if err := tx.UnmarshalBinary(raw[0]); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s type %d chain %s nonce %d to %s value %s data 0x%x", request.Method, tx.Type(), tx.ChainId(), tx.Nonce(), tx.To(), tx.Value(), tx.Data())
}

var fees = regexp.MustCompile(`"max(PriorityFee|Fee)PerGas":"0x[0-9a-f]+",?`)

// text names the addresses and hashes, given as pairs, in any letter case and in
// encoded arguments.
func (l *transcript) text(names []string) string {
	text := strings.Join(l.lines, "\n") + "\n"
	for i := 0; i < len(names); i += 2 {
		hex := strings.TrimPrefix(names[i], "0x")
		text = regexp.MustCompile("(?i)0x"+hex).ReplaceAllString(text, names[i+1])
		text = regexp.MustCompile("(?i)"+hex).ReplaceAllString(text, names[i+1])
	}
	text = blocks.ReplaceAllString(text, `$1 ["<block>"`)
	return sortReads(receipts.ReplaceAllString(text, `$1 ["<transaction>"]`))
}

// sortReads puts in order what is asked at the same time, an app's fields, and what is
// found out of a transaction before it is sent; and takes together what is asked again and
// again until it is in a block.
func sortReads(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for _, together := range []*regexp.Regexp{
		regexp.MustCompile(`"to":"<app>"`),
		regexp.MustCompile(`eth_(estimateGas|getBalance|maxPriorityFeePerGas|gasPrice|call \[\{"from":"<owner>")|eth_getBlockByNumber \["latest"`),
		regexp.MustCompile(`eth_getTransactionReceipt|eth_getTransactionByHash|eth_getTransactionCount \["<owner>","pending"|eth_getBlockByNumber \["<block>`),
	} {
		lines = sortRuns(lines, together.MatchString)
	}
	return strings.Join(lines, "")
}

// sortRuns sorts lines that are of one kind and stand together, each of them once.
func sortRuns(lines []string, of func(string) bool) (sorted []string) {
	for from := 0; from < len(lines); {
		to := from
		for to < len(lines) && of(lines[to]) {
			to++
		}
		if to == from {
			sorted, from = append(sorted, lines[from]), from+1
			continue
		}
		run := slices.Clone(lines[from:to])
		if slices.ContainsFunc(run, isReceipt) { // how often is asked in between depends on the clock
			run = slices.DeleteFunc(run, func(line string) bool {
				return strings.Contains(line, "eth_getTransactionByHash") || strings.Contains(line, "eth_getTransactionCount")
			})
		}
		slices.Sort(run)
		sorted, from = append(sorted, slices.Compact(run)...), to
	}
	return sorted
}

func isReceipt(line string) bool { return strings.Contains(line, "eth_getTransactionReceipt") }

// blocks matches the block that a transaction is in.
var blocks = regexp.MustCompile(`(eth_getBlockByNumber) \["0x[0-9a-f]+"`)

// receipts matches the hash that a transaction is asked for by.
var receipts = regexp.MustCompile(`(eth_getTransaction(?:Receipt|ByHash)) \["0x[0-9a-f]{64}"\]`)
