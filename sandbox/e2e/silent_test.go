//go:build chaos

package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/go-git/go-git/v5"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// silence is a failure that no answer shows: a service says yes and does nothing, or what
// was done is gone before the end.
type silence struct {
	name  string
	rules func(*run) []fault.Rule // for good
	// gone does away with something: behind that write, or, where none is named, when the
	// record has been written.
	gone  func(context.Context, *run) error
	write string // the beginning of its method and path; of a transaction "transaction"
	after int    // how many such writes are let pass before
	then  bool   // not behind the write, but before the next question to chain or market
	// endless: what is asked for again and again, for minutes; the third time the run is
	// told to end.
	endless string
	args    []string // of mrelease, for a release that was; none: the release itself
	prepare func(*testing.T, *run)
}

// TestSilent lets services fail without a word: no run may end with exit code 0.
func TestSilent(t *testing.T) {
	t.Parallel()
	all := silences()
	if testing.Short() {
		all = everyThird(all)
	}
	inLanes(t, len(all), func(t *testing.T, l *lane, i int) { all[i].test(t, l.newRun(t, fmt.Sprintf("silent-%d", i)), l) })
}

func everyThird(all []silence) (some []silence) {
	for i := 0; i < len(all); i += 3 {
		some = append(some, all[i])
	}
	return some
}

func (s silence) test(t *testing.T, r *run, l *lane) {
	if s.args != nil {
		r.finishes(t)
		r.args = s.args
	}
	if s.prepare != nil {
		s.prepare(t, r)
	}
	if s.rules != nil {
		for _, rule := range s.rules(r) {
			rule.Times = 1_000_000
			if err := l.gate.faults.Add(rule); err != nil {
				t.Fatal(err)
			}
		}
	}
	harmed := s.harm(t, r)
	err := r.release(t, death{})
	l.gate.watchFor(nil)
	untouched := len(l.gate.faults.Rules()) > 0 && !l.gate.touched(1_000_000)
	l.gate.faults.Clear()
	if untouched || s.gone != nil && !harmed() {
		t.Errorf("nothing failed:\n%s", strings.Join(r.printed, "\n"))
	}
	got := "no 0"
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 0 {
		got = fmt.Sprint("ended with ", err)
		t.Errorf("%v:\n%s", err, strings.Join(r.printed, "\n"))
	}
	code := errorCode.FindString(strings.Join(r.printed, "\n"))
	name, want, _ := strings.Cut(strings.TrimSuffix(s.name, ")"), " (")
	if want != "" && code != want {
		t.Errorf("got %s, want %s:\n%s", code, want, strings.Join(r.printed, "\n"))
	}
	l.row(t, fmt.Sprintf("silent: %s (%s)", name, code), "no 0", got)
}

// harm prepares what is to be gone, and returns whether it is.
func (s silence) harm(t *testing.T, r *run) func() bool {
	var mu sync.Mutex
	var armed atomic.Bool
	done, writes, asked := false, 0, 0
	do := func() {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return
		}
		done = true
		if err := s.gone(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	r.onWrite = func(what string) {
		if s.gone == nil || s.write == "" || !strings.HasPrefix(strings.ReplaceAll(what, r.script.name, "NAME"), s.write) && label(what) != s.write {
			return
		}
		if writes++; writes <= s.after {
			return
		}
		if armed.Store(true); !s.then {
			do()
		}
	}
	record := filepath.Join(r.script.dir, "dist", "record.json")
	before, _ := os.ReadFile(record) // none before a first release
	r.gate.watchFor(func(req *http.Request, body string) {
		if s.then && armed.Load() && !strings.HasPrefix(req.URL.Path, "/v2/") {
			do()
		}
		if s.endless != "" && strings.Contains(body, s.endless) {
			mu.Lock()
			asked++
			end := asked == 3
			mu.Unlock()
			if end {
				r.interrupt()
			}
		}
		if s.gone != nil && s.write == "" {
			if now, err := os.ReadFile(record); err == nil && string(now) != string(before) {
				do()
			}
		}
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
}

// silences are all of them.
func silences() []silence {
	registry := func(rule fault.Rule) func(*run) []fault.Rule {
		return func(r *run) []fault.Rule {
			rule := rule
			rule.Service, rule.Path = "registry", strings.ReplaceAll(rule.Path, "NAME", r.script.name)
			return []fault.Rule{rule}
		}
	}
	fixed := func(rules ...fault.Rule) func(*run) []fault.Rule {
		return func(*run) []fault.Rule { return rules }
	}
	const sends, receipt = "eth_sendRawTransaction", "eth_getTransactionReceipt"
	dropped := fault.Rule{Service: "rpc", Match: sends, Result: `"0x1111111111111111111111111111111111111111111111111111111111111111"`}
	published := fault.Rule{Service: "market", Method: "POST", Path: "/apporders", Status: 200, Body: `{"ok":true,"published":{}}`}
	unpublished := fault.Rule{Service: "market", Method: "PUT", Path: "/apporders", Status: 200, Body: `{"ok":true,"unpublished":[]}`}
	taken := fault.Rule{Method: "PUT", Path: "/v2/NAME/manifests/", Status: 201}
	skipping := func(rule fault.Rule, n int) fault.Rule {
		rule.Skip = n
		return rule
	}
	revoke := []string{"revoke", "1.0.0", "--why", "it leaks"}
	publish := []string{"order", "publish", "1.0.0"}
	all := []silence{
		{name: "registry takes the image's manifest and has it not", rules: registry(skipping(taken, 2))},
		{name: "registry takes the tag and has it not", rules: registry(fault.Rule{Method: "PUT", Path: "/v2/NAME/manifests/1.0.0", Status: 201})},
		{name: "registry takes the signature and has it not", rules: registry(skipping(taken, 4))},
		{name: "registry takes the provenance and has it not", rules: registry(skipping(taken, 5))},
		{name: "registry takes the reference values and has them not", rules: registry(skipping(taken, 6))},
		{name: "registry takes no manifest at all", rules: registry(taken)},
		{name: "registry takes blobs and has them not", rules: registry(fault.Rule{Method: "PUT", Path: "/v2/NAME/blobs/uploads/", Status: 201})},
		{name: "registry says that it has blobs", rules: registry(fault.Rule{Method: "HEAD", Path: "/v2/NAME/blobs/", Status: 200})},
		{name: "market takes the order and has it not", rules: fixed(published)},
		{name: "market takes the order and does not list it", rules: fixed(skipping(fault.Rule{Service: "market", Method: "GET", Path: "/apporders", Match: "", Status: 200, Body: `{"ok":true,"count":0,"orders":[]}`}, 0))},
		{name: "market unpublishes and does not", rules: fixed(unpublished)},
		{name: "node takes createApp and drops it", rules: fixed(dropped), endless: sends},
		{name: "node takes the closing and drops it", rules: fixed(skipping(dropped, 1)), endless: sends},
		{name: "node makes up the receipt of createApp", rules: madeUp(dropped, receipt, 0)},
		{name: "node makes up the receipt of the closing", rules: madeUp(dropped, receipt, 1)},
		{name: "node makes up the receipts of all", rules: madeUp(dropped, "", 0), endless: sends},
		{name: "revoke: the statement is taken and not there", args: revoke, rules: registry(taken)},
		{name: "revoke: the statement's bundle is taken and not there", args: revoke, rules: registry(fault.Rule{Method: "PUT", Path: "/v2/NAME/blobs/uploads/", Status: 201})},
		{name: "revoke: the closing is dropped", args: revoke, rules: fixed(dropped), endless: sends},
		{name: "revoke: the receipt of the closing is made up", args: revoke, rules: madeUp(dropped, receipt, 0)},
		{name: "revoke: the market unpublishes and does not", args: revoke, rules: fixed(unpublished)},
		{name: "revoke: the statement is gone", args: revoke, gone: forgetStatements, write: "PUT /v2/NAME/manifests/", then: true},
		{name: "order publish: the market takes it and has it not", args: publish, prepare: unsold, rules: fixed(published)},
		{name: "order publish: the order is gone", args: publish, prepare: unsold, gone: unpublish, write: "POST /apporders"},
		{name: "order publish: the app is another's", args: publish, prepare: unsold, gone: giveAway, write: "POST /apporders"},
		{name: "git's tag is gone (E-TAG-MOVED)", prepare: inGit, gone: untag, write: "POST /apporders"},
		{name: "old order is on sale again (E-ORDER-UNRETIRED)", prepare: unpublishing, gone: sellAgain},
		{name: "record is gone", gone: func(_ context.Context, r *run) error { return os.Remove(r.recordFile()) }},
		{name: "record is cut", gone: func(_ context.Context, r *run) error { return os.Truncate(r.recordFile(), 100) }},
		{name: "record is empty", gone: func(_ context.Context, r *run) error { return os.Truncate(r.recordFile(), 0) }},
		{name: "record is a folder", gone: func(_ context.Context, r *run) error {
			return errors.Join(os.Remove(r.recordFile()), os.Mkdir(r.recordFile(), 0o700))
		}},
	}
	moments := []struct {
		when, write string
		after       int
	}{
		{"after the signature", "PUT /v2/NAME/manifests/", 6}, // two of the proof, digest, tag, signature, provenance, reference values
		{"after the app", "transaction", 0},
		{"after the offer", "POST /apporders", 0},
		{"after the retirement", "PUT /apporders", 0},
		{"after the record", "", 0},
	}
	for i, m := range moments {
		add := func(what string, gone func(context.Context, *run) error) {
			all = append(all, silence{name: what + " " + m.when, gone: gone, write: m.write, after: m.after})
		}
		add("tag is moved", moveTag)
		add("statements are gone", forgetStatements)
		if i >= 1 { // until then the release itself writes the tag again
			add("tag is gone", forgetTag)
			add("image is gone", forgetImage)
		}
		if i >= 2 {
			add("order is gone", unpublish)
			add("order is closed", closeOrder)
			add("app is another's", giveAway)
		}
	}
	return all
}

// madeUp drops transactions and says that they are in a block: with receipts of the first
// block. Without a question to answer so it only drops.
func madeUp(dropped fault.Rule, question string, skip int) func(*run) []fault.Rule {
	return func(r *run) []fault.Rule {
		dropped.Skip = skip
		first, err := r.world.V6.Client.HeaderByNumber(context.Background(), nil)
		if err != nil || question == "" {
			return []fault.Rule{dropped}
		}
		lie := fmt.Sprintf(`{"type":"0x2","status":"0x1","cumulativeGasUsed":"0x5208","gasUsed":"0x5208","effectiveGasPrice":"0x1","logsBloom":"0x%0512d","logs":[],`+
			`"transactionHash":"0x%064d","transactionIndex":"0x0","contractAddress":null,"blockHash":%q,"blockNumber":"0x%x"}`, 0, 1, first.Hash().Hex(), first.Number)
		// Of the transactions that it does not drop it says the truth, as often as asked.
		return []fault.Rule{dropped, {Service: "rpc", Match: question, Result: lie, Skip: skip}}
	}
}

func (r *run) recordFile() string { return filepath.Join(r.script.dir, "dist", "record.json") }

// there is the repository, without the gate.
func (r *run) there() name.Repository {
	repo, err := name.NewRepository(r.world.Registry + "/" + r.script.name)
	if err != nil {
		panic(err) // a name of this file
	}
	return repo
}

func (r *run) owned() owned { return owned{r.world.V6, r.world.Market, r.script.key} }

func forgetTag(ctx context.Context, r *run) error {
	return remote.Delete(r.there().Tag("1.0.0"), remote.WithContext(ctx))
}

func moveTag(ctx context.Context, r *run) error {
	other, err := random.Image(64, 1)
	if err != nil {
		return err
	}
	return remote.Write(r.there().Tag("1.0.0"), other, remote.WithContext(ctx))
}

func forgetImage(ctx context.Context, r *run) error {
	there, err := remote.Head(r.there().Tag("1.0.0"), remote.WithContext(ctx))
	if err != nil {
		return err
	}
	return errors.Join(forgetTag(ctx, r), remote.Delete(r.there().Digest(there.Digest.String()), remote.WithContext(ctx)))
}

func forgetStatements(ctx context.Context, r *run) error {
	there, err := remote.Head(r.there().Tag("1.0.0"), remote.WithContext(ctx))
	if err != nil {
		return err
	}
	statements, err := readStatements(ctx, r.there().Digest(there.Digest.String()))
	for _, s := range statements {
		err = errors.Join(err, remote.Delete(s.referrer, remote.WithContext(ctx)))
	}
	return err
}

// order is the release's, as the market has it.
func (r *run) order(ctx context.Context) (market.Order[poco.SignedAppOrder], error) {
	m := market.Client{URL: r.world.Market, ChainID: r.world.V6.ID}
	all, err := m.OnSale(ctx, r.owned().address())
	for _, o := range all {
		if o.Order.App != r.earlier.App {
			return o, err
		}
	}
	return market.Order[poco.SignedAppOrder]{}, errors.Join(err, errors.New("the market lists no order of the release"))
}

func unpublish(ctx context.Context, r *run) error {
	o, err := r.order(ctx)
	if err != nil {
		return err
	}
	return r.owned().unpublish(ctx, o.Hash)
}

func closeOrder(ctx context.Context, r *run) error {
	o, err := r.order(ctx)
	if err != nil {
		return err
	}
	return r.owned().close(ctx, o.Order)
}

func giveAway(ctx context.Context, r *run) error {
	o, err := r.order(ctx)
	if err != nil {
		return err
	}
	return r.owned().transfer(ctx, o.Order.App)
}

// unsold takes the release's order out of the market.
func unsold(t *testing.T, r *run) {
	t.Helper()
	if err := unpublish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// inGit makes the release's folder a repository, whose tag names the version.
func inGit(t *testing.T, r *run) {
	t.Helper()
	repo, err := git.PlainInit(r.script.dir, false)
	if err == nil {
		err = commit(repo)
	}
	if err != nil {
		t.Fatal(err)
	}
	head, err := repo.Head()
	if err == nil {
		_, err = repo.CreateTag("v1.0.0", head.Hash(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.args, r.more = []string{"release"}, []string{"MRELEASE_COMMIT="}
}

func untag(_ context.Context, r *run) error {
	repo, err := git.PlainOpen(r.script.dir)
	if err != nil {
		return err
	}
	return repo.DeleteTag("v1.0.0")
}

// unpublishing lets a release take old orders out of the market, and no more.
func unpublishing(t *testing.T, r *run) {
	t.Helper()
	r.configure(t, "order: {retire: unpublish}\n")
}

// signEarlier signs the earlier release's order again.
func (r *run) signEarlier(ctx context.Context) (wallet node.Wallet, signed poco.SignedAppOrder, err error) {
	if wallet, err = node.ParseKey(hex.EncodeToString(crypto.FromECDSA(r.script.key))); err != nil {
		return wallet, signed, err
	}
	signed, err = orders.Sign(ctx, poco.Domain{ChainID: r.world.V6.ID, Hub: r.world.V6.Hub}, wallet, r.earlier)
	return wallet, signed, err
}

// sellAgain publishes the earlier release's order, as another job of the wallet may.
func sellAgain(ctx context.Context, r *run) error {
	wallet, signed, err := r.signEarlier(ctx)
	if err != nil {
		return err
	}
	return market.Publish(ctx, market.Client{URL: r.world.Market, ChainID: r.world.V6.ID}, wallet, signed)
}

// interrupt tells the process to end, as runners do.
func (r *run) interrupt() {
	if p := r.process.Load(); p != nil {
		_ = p.Signal(syscall.SIGTERM) // fails only when it has ended
	}
}
