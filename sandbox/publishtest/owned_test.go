package publishtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/owned"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sandbox/fleet"
	"github.com/mrelease/mrelease/sandbox/world"
)

// copies returns what makes copies of a release.
func copies(t *testing.T, w *world.World, p published) fleet.Fleet {
	t.Helper()
	return fleet.Fleet{Chain: connect(t, p.profile), Market: market.Client{URL: w.Market, ChainID: p.profile.ID}, Owner: p.owner, Key: p.key, Release: p.Record, OnSale: 20}
}

// asked is what a verification of all apps took.
type asked struct {
	owned.Tally
	apps                  []owned.App
	rpc, market, registry int64
}

// verifyAll verifies the apps of an owner and counts the requests.
func verifyAll(t *testing.T, p published, owner common.Address) (a asked, err error) {
	t.Helper()
	var rpcLog, marketLog, registryLog transcript
	profile := p.profile
	profile.RPC, profile.Market = rpcLog.record(t, "rpc", profile.RPC), marketLog.record(t, "market", profile.Market)
	w, err := record.Connect(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	skipped := &measure.NotRunError{Flag: "--owner"}
	w.Registry, w.NoRunner, w.NoLayers = registry.Client{Transport: counted{&registryLog}}, skipped, skipped
	a.Tally, err = owned.Verify(t.Context(), w, owner, func(app owned.App, _ node.Block) error {
		a.apps = append(a.apps, app)
		return nil
	})
	a.rpc, a.market, a.registry = rpcLog.asked.Load(), marketLog.asked.Load(), registryLog.asked.Load()
	return a, err
}

// What it takes to verify the apps of an owner grows with their number, and what the chain
// knows of them is asked together.
func TestOwnedRequests(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V5, "owned", "1.0.0")
	f := copies(t, w, p)
	var each []asked
	for _, n := range []int{100, 300} {
		if err := f.Copy(t.Context(), max(0, n-201), n-1); err != nil { // and the release
			t.Fatal(err)
		}
		a, err := verifyAll(t, p, p.owner.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d requests to the node, %d to the market, %d to the registry", a.Tally, a.rpc, a.market, a.registry)
		if a.Apps != n || a.Of[owned.Holds] != 21 || a.Of[owned.Unsold] != n-21 {
			t.Errorf("%d apps: %s: %v", n, a.Tally, a.Err())
		}
		each = append(each, a)
	}
	few, many := each[0], each[1]
	for what, counts := range map[string][2]int64{"the node": {few.rpc, many.rpc}, "the market": {few.market, many.market}, "the registry": {few.registry, many.registry}} {
		if counts[1] > 3*counts[0]+10 {
			t.Errorf("%s was asked %d times about 100 apps, and %d times about 300", what, counts[0], counts[1])
		}
	}
	if most := int64(300 + 300/16*2 + 10); many.rpc > most { // one for the order of each
		t.Errorf("the node was asked %d times about 300 apps, want at most %d", many.rpc, most)
	}
	expect(t, "the newest", many.apps[0].App.Name > "owned-", "true")
	expect(t, "the oldest", many.apps[299].App.Name, "owned")
	if slices.ContainsFunc(many.apps, func(a owned.App) bool { return a.Address == (common.Address{}) }) {
		t.Error("an app has no address")
	}
}

// What one app is stops no other: each comes to a result of its own, and the worst is that of
// all.
func TestOwnedResults(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V5, "good", "1.0.0")
	_, err := verifyAll(t, p, common.HexToAddress("0x1234"))
	if none, ok := errors.AsType[*owned.NoneError](err); !ok || none.Block.Hash == (common.Hash{}) {
		t.Errorf("an owner without apps: %v", err)
	}
	a, err := verifyAll(t, p, p.owner.Address)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "one that holds", results(a), "good holds")
	if open := a.Err(); !errors.As(open, new(*measure.UnmeasuredError)) || !record.IsOfLayers(open) {
		t.Errorf("its layers were read? %v", open)
	}
	f := copies(t, w, p)
	if err := f.Copy(t.Context(), 20, 21); err != nil {
		t.Fatal(err)
	}
	for _, multiaddr := range []string{"127.0.0.1:1/away:1.0.0", "iexechub/python-hello-world", w.Registry + "/good:1.0.0"} {
		app := newApp(p.owner, multiaddr)
		app.Multiaddr, app.Checksum = []byte(multiaddr), p.App.Checksum
		if _, err := apps.Register(t.Context(), f.Chain, p.owner, app, enclave); err != nil {
			t.Fatal(err)
		}
	}
	f.Key = signingKey(t) // which the record does not name
	if err := f.Copy(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	if a, err = verifyAll(t, p, p.owner.Address); err != nil {
		t.Fatal(err)
	}
	// The record beside the image is of another app of the owner's.
	expect(t, "results", results(a), "good-0 failed, "+w.Registry+"/good:1.0.0 unrecorded, iexechub/python-hello-world unrecorded, 127.0.0.1:1/away:1.0.0 unasked, good-20 unsold, good holds")
	failed, _ := errors.AsType[*owned.Error](a.Err())
	if !errors.As(a.Err(), new(*registry.UnsignedError)) || failed.App != a.apps[0].Address || failed.Link != "signature" {
		t.Errorf("the worst is %v", failed)
	}
}

func results(a asked) string {
	var all []string
	for _, app := range a.apps {
		all = append(all, app.App.Name+" "+string(app.Result))
	}
	return strings.Join(all, ", ")
}

// madeUp stands before a node and makes up how many apps an owner has, and which they are.
func madeUp(t *testing.T, backend string, balance *big.Int) (at string, asked *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	word := func(n *big.Int) string { return hexutil.Encode(common.BigToHash(n).Bytes()) }
	answers := func(call map[string]any) any {
		params, _ := json.Marshal(call["params"])
		_, place, isToken := strings.Cut(string(params), "0x2f745c59")
		switch {
		case strings.Contains(string(params), "0x70a08231"): // balanceOf
			return word(balance)
		case isToken: // tokenOfOwnerByIndex: its second argument stands for the app
			n, _ := new(big.Int).SetString(place[64:128], 16)
			return word(n.Add(n, big.NewInt(1<<20)))
		case strings.Contains(string(params), `"to":"0x000000000000`): // an app's field: an empty text
			return word(big.NewInt(32)) + word(new(big.Int))[2:]
		}
		return nil
	}
	asked = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		var one map[string]any
		var all []map[string]any
		single := json.Unmarshal(body, &one) == nil
		if single {
			all = append(all, one)
		} else if err := json.Unmarshal(body, &all); err != nil {
			panic(http.ErrAbortHandler)
		}
		for i, call := range all {
			answer := answers(call)
			if answer == nil {
				r.Body = io.NopCloser(bytes.NewReader(body))
				proxy.ServeHTTP(out, r)
				return
			}
			all[i] = map[string]any{"jsonrpc": "2.0", "id": call["id"], "result": answer}
		}
		var answer any = all
		if single {
			answer = all[0]
		}
		out.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(out).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// A node that makes up how many apps an owner has is not followed without end: no more are
// looked at than are to be, and that there are more is no pass.
func TestAttackOwnedBalance(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V5, "lied", "1.0.0")
	rpc := p.profile.RPC
	most := new(big.Int).Lsh(big.NewInt(1), 255) // which is 0 in its last 64 bits
	p.profile.RPC, _ = madeUp(t, rpc, most)
	_, err := verifyAll(t, p, p.owner.Address)
	if larger, ok := errors.AsType[*bounds.Error](err); !ok || larger.Got != most.String() {
		t.Errorf("2^255 apps: %v", err)
	}
	var asked *atomic.Int64
	p.profile.RPC, asked = madeUp(t, rpc, big.NewInt(1<<62))
	a, err := verifyAll(t, p, p.owner.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d requests", a.Tally, asked.Load())
	if a.Apps != bounds.Fleet || !errors.As(a.Stopped, new(*bounds.Error)) || !errors.As(a.Err(), new(*bounds.Error)) || a.Of[owned.Unrecorded] != bounds.Fleet {
		t.Errorf("2^62 apps: %s: %v", a.Tally, a.Err())
	}
}

// What is read as of a block is what was so then, in company and alone.
func TestAtHead(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		client, owner := connect(t, profile(w, c)), wallet(t, 1)
		then, block, err := client.AtHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "later"), enclave)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apps.Read(t.Context(), client, reg.Address); err != nil {
			t.Error(err)
		}
		if _, err := apps.Read(t.Context(), then, reg.Address); !errors.As(err, new(*apps.NoAppError)) {
			t.Errorf("as of %s: %v", block, err)
		}
		var found int
		for _, err := range apps.Owned(t.Context(), then, owner.Address, bounds.Apps) {
			if err != nil {
				t.Error(err)
			}
			found++
		}
		expect(t, "apps as of the block", found, "0")
		if reg.Block <= block.Number || block.Hash == (common.Hash{}) || block.Time.IsZero() {
			t.Errorf("the app is in block %d, after %s", reg.Block, block)
		}
	}
}
