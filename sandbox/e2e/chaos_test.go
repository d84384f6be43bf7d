//go:build chaos

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

// lanes is how many runs go on at the same time. Most of their time they wait for
// services that fail.
const lanes = 4

// lane is a world with a gate, in which runs follow each other, each of an owner and a
// repository of its own.
type lane struct {
	world *world.World
	gate  *gate
	tools tools
	state string
	// beside is the state of the builder of a second release.
	beside string
	rows   *rows
}

// rows become the test's attributes, for the table.
type rows struct {
	mu  sync.Mutex
	all []string
}

func (l *lane) row(t *testing.T, name, expected, got string) {
	t.Helper()
	l.rows.mu.Lock()
	defer l.rows.mu.Unlock()
	l.rows.all = append(l.rows.all, strings.ReplaceAll(strings.Join([]string{name, expected, got}, "\t"), "\n", " "))
}

// inLanes makes tests 0 to n-1.
func inLanes(t *testing.T, n int, test func(t *testing.T, l *lane, i int)) {
	t.Helper()
	needBuilder(t)
	tools, of := prepare(t), &rows{}
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var all sync.WaitGroup
	for range lanes {
		l := &lane{startWorld(t), newGate(t), tools, t.TempDir(), t.TempDir(), of}
		all.Go(func() {
			for i := range next {
				t.Run(fmt.Sprint(i), func(t *testing.T) { test(t, l, i) })
				l.gate.faults.Clear()
				l.world.Faults.Clear()
			}
		})
	}
	all.Wait()
	for _, row := range of.all {
		t.Attr("chaos", row)
	}
}

func (l *lane) newRun(t *testing.T, name string) *run {
	t.Helper()
	r := newRunIn(t, l.world, l.tools, l.gate, name)
	r.state = l.state
	return r
}

// watchFor lets see who wants to see each request; nil for nobody.
func (g *gate) watchFor(seen func(r *http.Request, body string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = seen
}

// touched reports whether each rule was met, that was to be so many times.
func (g *gate) touched(times int) bool {
	return !slices.ContainsFunc(g.faults.Rules(), func(r fault.Rule) bool { return r.Times == times })
}

// TestChaos lets services fail and lie, and kills releases, as a seed says; meanwhile
// others do something, blocks leave the chain, or a second release goes on beside. Then a
// release is made without faults, perhaps on another machine. Whatever happened, there is one of each thing, nothing is on sale that should not be,
// and the record verifies.
func TestChaos(t *testing.T) {
	t.Parallel()
	n := 200
	if testing.Short() {
		n = 20
	}
	inLanes(t, n, func(t *testing.T, l *lane, i int) { converge(t, l, *seed+uint64(i)) })
}

// calm ends all faults, but that the market sees by itself what the chain knows.
func (l *lane) calm(t *testing.T) {
	t.Helper()
	l.gate.faults.Clear()
	l.world.Faults.Clear()
	if err := l.world.Faults.Add(blind()); err != nil {
		t.Fatal(err)
	}
}

// behind are the services behind the gate.
func behind() []string { return []string{"registry", "market", "rpc"} }

// every is of how many releases one is signed by an identity.
const every = 4

// signKeyless lets the release be signed by a job's identity.
func (r *run) signKeyless(t *testing.T) {
	t.Helper()
	env, err := r.script.signKeyless("github", tagged)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range env {
		r.more = append(r.more, name+"="+value)
	}
	r.root = "trusted-root.json"
}

// services are what a job's identity needs.
func services() (all []fault.Rule) {
	for _, name := range []string{"oidc", "fulcio", "timestamps", "rekor"} {
		all = append(all, fault.Rule{Service: name}, fault.Rule{Service: name})
	}
	return all
}

// mostRuns is how many runs without faults a release may take to converge.
const mostRuns = 2

func converge(t *testing.T, l *lane, seed uint64) {
	c := &chaos{run: l.newRun(t, fmt.Sprintf("chaos-%d", seed)), lane: l, random: rand.New(rand.NewPCG(seed, 1)), at: targets(), want: undisturbed()}
	if seed%every == 0 {
		c.did = "keyless: "
		c.signKeyless(t)
		c.at = append(c.at, services()...)
	}
	switch seed % 5 {
	case 1:
		c.beside, c.did = c.twin(t, l.beside, false), c.did+"the same release beside it: "
	case 3:
		c.beside, c.next, c.did = c.twin(t, l.beside, true), true, c.did+"the next release beside it: "
	default:
		e := events()[seed*3/5%uint64(len(events()))]
		c.event, c.happened = &e, e.arm(t, c.run)
	}
	for range 1 + c.random.IntN(3) {
		c.disturb(t)
	}
	c.endEvent(t)
	if c.random.IntN(2) == 0 {
		c.did += "another machine; "
		c.move(t)
	}
	runs, err := c.finishBoth(t)
	got := fmt.Sprintf("ended with %v", err)
	if err == nil {
		got = c.held(t)
	}
	if got != "converged" {
		t.Errorf("seed %d, %s: %s\n%s", seed, c.did, got, strings.Join(c.printed, "\n"))
	}
	l.row(t, fmt.Sprintf("seed %3d: %s; runs without faults: %d", seed, strings.TrimSuffix(c.did, "; "), runs), "converged", got)
}

// chaos is what a seed orders, and what came of it.
type chaos struct {
	*run
	lane     *lane
	random   *rand.Rand
	at       []fault.Rule // requests that fail
	event    *event       // nil: none
	happened func() bool
	beside   *run // a second release; nil: none
	next     bool // which is of the next version
	first    *run // the one that it was beside
	did      string
	want     holdings
}

// undisturbed is what there is at the end: beside the release the earlier one's app, whose
// order was closed.
func undisturbed() holdings {
	return holdings{images: 1, signatures: 1, attestations: 1, apps: 2, orders: 1, transactions: 3}
}

// disturb makes a release, or two, with faults; it may end well.
func (c *chaos) disturb(t *testing.T) {
	t.Helper()
	d, faults := bad(c.random, c.at)
	c.did += d.describe(faults) + ": "
	for _, f := range faults {
		to := &c.lane.gate.faults
		if !slices.Contains(behind(), f.Service) {
			to = c.lane.world.Faults
		}
		if err := to.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if c.beside != nil {
		together(t, c.run, c.beside, d)
	} else {
		_ = c.release(t, d)
	}
	left := slices.DeleteFunc(c.lane.world.Faults.Rules(), func(f fault.Rule) bool { return f.Service == "watcher" })
	c.did += fmt.Sprintf("%d met; ", failed(faults)-failed(c.lane.gate.faults.Rules())-failed(left))
	c.lane.calm(t)
	if c.next {
		return // what a release lost that another one took the place of, nobody makes anew
	}
	if lost := losses()[c.random.IntN(len(losses()))]; c.random.IntN(4) == 0 && lost.gone(t.Context(), c.run) == nil {
		c.did += lost.name + "; " // else it was not there
	}
}

// endEvent lets the event happen, if it did not yet, and be healed.
func (c *chaos) endEvent(t *testing.T) {
	t.Helper()
	if c.event == nil {
		return
	}
	for run := 0; run < mostRuns && !c.happened(); run++ {
		_ = c.release(t, death{}) // it disturbs this one
	}
	c.onWrite = nil
	c.did += c.event.name + "; "
	c.want.transactions += c.event.sent
	if !c.happened() {
		t.Errorf("it never happened: %s\n%s", c.event.name, strings.Join(c.printed, "\n"))
	} else if c.event.heal != nil {
		if err := c.event.heal(t.Context(), c.run); err != nil {
			t.Error(err)
		}
	}
}

// finishBoth makes the release without faults, and the one beside it, which is last: of an
// earlier release whose order a later one closed it is known that it stays closed.
func (c *chaos) finishBoth(t *testing.T) (runs int, err error) {
	t.Helper()
	runs, err = c.ends(t)
	if ended := errorCode.FindString(strings.Join(c.printed, "\n")); c.next && (ended == "E-ORDER-CANCELLED" || ended == "E-ORDER-SPENT") {
		err = nil // the chain alone does not tell which of both it is
	}
	if err != nil || c.beside == nil {
		return runs, err
	}
	c.first, c.run, c.want = c.run, c.beside, c.wantBoth()
	more, err := c.ends(t)
	return max(runs, more), err
}

// wantBoth is what two releases leave. Two of one commit may both sign; and how many
// transactions there are is open: one of two that do the same may be reverted.
func (c *chaos) wantBoth() holdings {
	want := c.want
	if c.next {
		want.images, want.signatures, want.attestations, want.apps = 2, 2, 2, 3
	}
	return want
}

// ends runs the release until it ends well.
func (c *chaos) ends(t *testing.T) (runs int, err error) {
	t.Helper()
	for runs = 1; runs <= mostRuns; runs++ {
		if err = c.release(t, death{}); err == nil {
			return runs, nil
		}
	}
	return runs, err
}

// holds compares what there is with what is wanted.
func (c *chaos) holds(t *testing.T) string {
	t.Helper()
	got, err := look(t.Context(), c.world, c.there().Name(), c.owned().address())
	counted := got
	if c.beside != nil {
		counted.signatures, counted.attestations = min(got.signatures, c.want.signatures), min(got.attestations, c.want.attestations)
		counted.transactions = c.want.transactions
	}
	if err != nil || counted != c.want {
		return fmt.Sprintf("the world holds %s, %v; want %s", got, err, c.want)
	}
	return ""
}

// held says "converged" when there is one of each thing and nothing else.
func (c *chaos) held(t *testing.T) string {
	t.Helper()
	if other := c.holds(t); other != "" {
		return other
	}
	r := c.run
	v6 := r.world.V6
	chain, err := node.Connect(t.Context(), poco.Chain{Name: v6.Name, ID: v6.ID, RPC: v6.RPC, Hub: v6.Hub, Fees: v6.Fees})
	if err != nil {
		return err.Error()
	}
	if left, err := node.Remaining(t.Context(), chain, r.earlier); err != nil || left.Sign() != 0 {
		return fmt.Sprintf("of the earlier release's order %s runs are left, %v", left, err)
	}
	if c.next {
		old, err := record.ReadFile(c.first.recordFile())
		switch {
		case err == nil:
			if left, err := node.Remaining(t.Context(), chain, old.Order.Signed.AppOrder); err != nil || left.Sign() != 0 {
				return fmt.Sprintf("of the order of the release before %s runs are left, %v", left, err)
			}
		case !errors.Is(err, fs.ErrNotExist): // it may have ended before it wrote one
			return err.Error()
		}
	}
	if _, err := r.order(t.Context()); err != nil {
		return err.Error()
	}
	args := []string{"verify", "--config", "mrelease.yaml", "dist/record.json"}
	if r.root != "" {
		args = append(args, "--trusted-root", r.root)
	}
	verify := exec.CommandContext(t.Context(), r.program, args...)
	verify.Dir = r.script.dir
	verify.Env = append(os.Environ(), "HOME="+r.script.dir, "MRELEASE_STATE="+r.state, "TMPDIR="+r.temporary())
	if out, err := verify.CombinedOutput(); err != nil {
		return fmt.Sprintf("the record does not verify: %v\n%s", err, out)
	}
	return "converged"
}

// finishes is a release that nothing disturbs.
func (r *run) finishes(t *testing.T) {
	t.Helper()
	if err := r.release(t, death{}); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(r.printed, "\n"))
	}
}

// failed is how many requests are to fail.
func failed(rules []fault.Rule) (n int) {
	for _, r := range rules {
		n += r.Times
	}
	return n
}

// losses are what is gone between two runs.
func losses() []silence {
	return []silence{{name: "the tag was lost", gone: forgetTag}, {name: "the statements were lost", gone: forgetStatements}, {name: "the order was lost", gone: unpublish}}
}

// bad says what happens to a release: faults, and perhaps a death.
func bad(random *rand.Rand, at []fault.Rule) (d death, faults []fault.Rule) {
	if random.IntN(3) == 0 {
		d = ends()[random.IntN(len(ends()))]
		if d.step == "" {
			d.write = 1 + random.IntN(30)
		}
	}
	for range 1 + random.IntN(3) {
		f := at[random.IntN(len(at))]
		ways(random)[random.IntN(len(ways(random)))](&f)
		if random.IntN(3) == 0 {
			f = lies(random)
		}
		f.Skip, f.Times = random.IntN(4), 1+random.IntN(6)
		faults = append(faults, f)
	}
	return d, faults
}

func ends() []death {
	all := []death{{signal: syscall.SIGKILL}, {signal: syscall.SIGKILL}, {signal: syscall.SIGTERM}}
	for _, step := range []string{"build", "push", "sign", "register", "offer", "retire", "record"} {
		all = append(all, death{step: step, signal: syscall.SIGKILL})
	}
	return all
}

// targets are requests of a release.
func targets() []fault.Rule {
	var all []fault.Rule
	for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "PUT"} {
		all = append(all, fault.Rule{Service: "registry", Method: method})
	}
	all = append(all,
		fault.Rule{Service: "market", Path: "/challenge"}, fault.Rule{Service: "market", Method: "POST"}, fault.Rule{Service: "market", Method: "PUT"},
		fault.Rule{Service: "market", Method: "GET", Path: "/apporders"})
	for _, method := range []string{"eth_call", "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionCount", "eth_estimateGas", "eth_getBlockByNumber", "eth_getTransactionByHash"} {
		all = append(all, fault.Rule{Service: "rpc", Match: method})
	}
	return all
}

// ways are those in which a request fails.
func ways(random *rand.Rand) []func(*fault.Rule) {
	statuses := []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusForbidden, http.StatusNotFound}
	status := statuses[random.IntN(len(statuses))]
	return []func(*fault.Rule){
		func(f *fault.Rule) { f.Status = status },
		func(f *fault.Rule) { f.Status, f.After = http.StatusInternalServerError, true },
		func(f *fault.Rule) { f.Drop = true },
		func(f *fault.Rule) { f.Drop, f.After = true, true },
		func(f *fault.Rule) { f.Twice = true },
		func(f *fault.Rule) { f.Delay = "100ms" },
	}
}

// describe is for the table.
func (d death) describe(faults []fault.Rule) string {
	var parts []string
	for _, f := range faults {
		how := fmt.Sprint(f.Status)
		switch {
		case f.Drop:
			how = "drop"
		case f.Twice:
			how = "twice"
		case f.Overtaken:
			how = "overtaken"
		case f.Delay != "":
			how = "late"
		case f.Old != "":
			how = f.New
		case f.Result != "":
			how = "says " + f.Result[:min(len(f.Result), 20)]
		case f.Body != "":
			how = "lists nothing"
		}
		if f.After {
			how += " when done"
		}
		words := fmt.Sprintf("%s %s %s%s %s x%d", f.Service, f.Method, f.Path, strings.TrimPrefix(f.Match, "eth_"), how, f.Times)
		parts = append(parts, strings.Join(strings.Fields(words), " "))
	}
	switch {
	case d.step != "":
		parts = append(parts, "killed after "+d.step)
	case d.write > 0:
		parts = append(parts, fmt.Sprintf("%s at write %d", d.signal, d.write))
	}
	return strings.Join(parts, ", ")
}
