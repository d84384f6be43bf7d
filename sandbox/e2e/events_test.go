//go:build chaos

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// event is something that others do, or the chain, in the middle of a release. The silence
// says what, and behind which write.
type event struct {
	silence
	heal func(context.Context, *run) error // what a user does before the release is run again; may be nil
	sent int                               // transactions of the wallet more than there are without it
}

// events are all of them, each once a seed.
func events() []event {
	const created, offered, tagged = "transaction", "POST /apporders", "PUT /v2/NAME/manifests/1.0.0"
	return []event{
		{silence: silence{name: "3 blocks left the chain after createApp", gone: forked(createdApp, false), write: created}},
		{silence: silence{name: "a run of the order was bought", gone: buyRun, write: offered}, sent: 2},
		{silence: silence{name: "3 blocks left the chain after the closing", gone: forked(closedOld, false), write: created}},
		{silence: silence{name: "the app was given away after createApp", gone: giveNewAway, write: created}, heal: reclaimNew, sent: 1},
		{silence: silence{name: "3 blocks and what was in them left the chain after createApp", gone: forked(createdApp, true), write: created}},
		{silence: silence{name: "the tag was lost after the push", gone: forgetTag, write: tagged}},
		{silence: silence{name: "the earlier order was sold out", gone: buyEarlier, write: tagged}, sent: 2 - 1}, // nothing is to be closed
		{silence: silence{name: "3 blocks and what was in them left the chain after the closing", gone: forked(closedOld, true), write: created}},
		{silence: silence{name: "the app was given away after the offer", gone: giveNewAway, write: offered}, heal: reclaimNew, sent: 1},
		{silence: silence{name: "the market lost the order", gone: unpublish, write: offered}},
	}
}

// arm lets the event happen, as soon as it can behind its write, and returns whether it did.
func (e event) arm(t *testing.T, r *run) (happened func() bool) {
	var mu sync.Mutex
	done := false
	r.onWrite = func(what string) {
		mu.Lock()
		defer mu.Unlock()
		wanted := strings.HasPrefix(strings.ReplaceAll(what, r.script.name, "NAME"), e.write) || label(what) == e.write
		if !done && wanted {
			done = e.gone(t.Context(), r) == nil // else what it is about is not there yet
		}
	}
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
}

// The wallet's transactions: the earlier release's app, the release's, and the closing.
const (
	createdApp = 2
	closedOld  = 3
)

// forked lets three blocks leave the chain, and the last of so many transactions with them.
func forked(transactions uint64, lost bool) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		if err := settle(ctx, r, transactions); err != nil {
			return err
		}
		return r.world.V6.Reorganise(ctx, r.owned().address(), lost)
	}
}

// settle waits until all transactions of the wallet that wait are in blocks.
func settle(ctx context.Context, r *run, least uint64) error {
	client, account := r.world.V6.Client, r.owned().address()
	for {
		pending, err := client.PendingNonceAt(ctx, account)
		if err != nil {
			return err
		}
		mined, err := client.NonceAt(ctx, account, nil)
		switch {
		case err != nil:
			return err
		case pending < least:
			return fmt.Errorf("%d transactions, want %d", pending, least)
		case mined >= pending:
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newApp is the app of the release, as its owner has it.
func newApp(ctx context.Context, r *run, owner common.Address) (common.Address, error) {
	c := r.world.V6
	client, err := node.Connect(ctx, poco.Chain{Name: c.Name, ID: c.ID, RPC: r.world.Direct(c.ID), Hub: c.Hub, Fees: c.Fees})
	if err != nil {
		return common.Address{}, err
	}
	for app, err := range apps.Owned(ctx, client, owner, bounds.Apps) {
		if err != nil {
			return common.Address{}, err
		}
		if app.Address != r.earlier.App && app.App.Name == r.script.name {
			return app.Address, nil
		}
	}
	return common.Address{}, fmt.Errorf("%s owns no app of the release", owner)
}

func giveNewAway(ctx context.Context, r *run) error {
	err := settle(ctx, r, createdApp)
	if err != nil {
		return err
	}
	app, err := newApp(ctx, r, r.owned().address())
	if err != nil {
		return err
	}
	return r.owned().transfer(ctx, app)
}

func reclaimNew(ctx context.Context, r *run) error {
	app, err := newApp(ctx, r, r.owned().holder().address())
	if err != nil {
		return err
	}
	return r.owned().reclaim(ctx, app)
}

func buyRun(ctx context.Context, r *run) error {
	o, err := r.order(ctx)
	if err != nil {
		return err
	}
	return r.owned().buy(ctx, o.Order, "1")
}

func buyEarlier(ctx context.Context, r *run) error {
	_, signed, err := r.signEarlier(ctx)
	if err != nil {
		return err
	}
	return r.owned().buy(ctx, signed, "1")
}

// lies are answers that are not true, and requests in another order.
func lies(random *rand.Rand) fault.Rule {
	head := func(number, time string) string {
		return fmt.Sprintf(`{"number":%q,"hash":"0x%064d","timestamp":%q,"baseFeePerGas":"0x2540be400"}`, number, 2, time)
	}
	const latest, counts = `"latest",false`, "eth_getTransactionCount"
	all := []fault.Rule{
		{Service: "rpc", Match: counts, Result: `"0x0"`},
		{Service: "rpc", Match: latest, Result: head("0x0", "0x0")},
		{Service: "market", Method: "GET", Path: "/apporders/0x", Old: `"status":"open"`, New: `"status":"filled"`},
		{Service: "rpc", Overtaken: true, Delay: "1s"},
		{Service: "rpc", Match: counts, Result: `"0x99"`},
		{Service: "market", Method: "GET", Path: "/apporders", Status: 200, Body: `{"ok":true,"count":0,"orders":[]}`},
		{Service: "rpc", Match: latest, Result: head("0xffffff", "0xfffffff0")},
		{Service: "market", Method: "GET", Path: "/apporders/0x", Old: `"status":"open"`, New: `"status":"canceled"`},
		{Service: "rpc", Match: "eth_getTransactionReceipt", Result: "null"},
		{Service: "market", Overtaken: true, Delay: "1s"},
		{Service: "rpc", Match: "eth_getTransactionByHash", Result: "null"},
	}
	return all[random.IntN(len(all))]
}

// twin is a second release by the same wallet, into the same repository, on another
// machine: of the same commit, or of the next one and its version.
func (r *run) twin(t *testing.T, state string, next bool) *run {
	t.Helper()
	s := *r.script
	s.dir = r.copyFiles(t)
	two := &run{world: r.world, gate: r.gate, script: &s, program: r.program, state: state, args: r.args, more: r.more, root: r.root, earlier: r.earlier}
	if err := os.Mkdir(two.temporary(), 0o700); err != nil {
		t.Fatal(err)
	}
	if next {
		two.args = []string{"release", "--version", "1.1.0"}
		two.more = append(two.more[:len(two.more):len(two.more)], "MRELEASE_COMMIT="+strings.Repeat("c1", 20))
		if err := writeFile(filepath.Join(s.dir, "greeting.txt"), "good evening\n"); err != nil {
			t.Fatal(err)
		}
	}
	return two
}

// together runs two releases at the same time; both may end in any way.
func together(t *testing.T, one, two *run, d death) {
	var both sync.WaitGroup
	both.Go(func() { _ = one.release(t, d) })
	both.Go(func() { _ = two.release(t, death{}) })
	both.Wait()
}
