//go:build chaos

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
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
	rows  *rows
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
		l := &lane{startWorld(t), newGate(t), tools, t.TempDir(), of}
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

// TestChaos lets services fail and kills releases, as a seed says, until a run ends well
// or no fault is left; then a release is made without faults, perhaps on another machine.
// Whatever happened, there is one of each thing, nothing is on sale that should not be,
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
	random := rand.New(rand.NewPCG(seed, 1))
	r := l.newRun(t, fmt.Sprintf("chaos-%d", seed))
	did, at := "", targets()
	if seed%every == 0 {
		did = "keyless: "
		r.signKeyless(t)
		at = append(at, services()...)
	}
	for range 1 + random.IntN(3) {
		d, faults := bad(random, at)
		did += d.describe(faults) + ": "
		for _, f := range faults {
			to := &l.gate.faults
			if !slices.Contains(behind(), f.Service) {
				to = l.world.Faults
			}
			if err := to.Add(f); err != nil {
				t.Fatal(err)
			}
		}
		_ = r.release(t, d) // may end well
		left := slices.DeleteFunc(l.world.Faults.Rules(), func(f fault.Rule) bool { return f.Service == "watcher" })
		did += fmt.Sprintf("%d met; ", failed(faults)-failed(l.gate.faults.Rules())-failed(left))
		l.calm(t)
		if lost := losses()[random.IntN(len(losses()))]; random.IntN(4) == 0 && lost.gone(t.Context(), r) == nil {
			did += lost.name + "; " // else it was not there
		}
	}
	if random.IntN(2) == 0 {
		did += "another machine; "
		r.move(t)
	}
	runs, err := 0, error(nil)
	for runs = 1; runs <= mostRuns; runs++ {
		if err = r.release(t, death{}); err == nil {
			break
		}
	}
	got := fmt.Sprintf("ended with %v", err)
	if err == nil {
		got = r.held(t)
	}
	if got != "converged" {
		t.Errorf("seed %d, %s: %s\n%s", seed, did, got, strings.Join(r.printed, "\n"))
	}
	l.row(t, fmt.Sprintf("seed %3d: %s; runs without faults: %d", seed, strings.TrimSuffix(did, "; "), runs), "converged", got)
}

// held says "converged" when there is one of each thing and nothing else.
func (r *run) held(t *testing.T) string {
	t.Helper()
	owner := crypto.PubkeyToAddress(r.script.key.PublicKey)
	got, err := look(t.Context(), r.world, r.there().Name(), owner)
	// Beside the release there is the earlier one's app, whose order was closed.
	if want := (holdings{images: 1, signatures: 1, attestations: 1, apps: 2, orders: 1, transactions: 3}); err != nil || got != want {
		return fmt.Sprintf("the world holds %s, %v; want %s", got, err, want)
	}
	c := r.world.V6
	chain, err := node.Connect(t.Context(), poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	if err != nil {
		return err.Error()
	}
	if left, err := node.Remaining(t.Context(), chain, r.earlier); err != nil || left.Sign() != 0 {
		return fmt.Sprintf("of the earlier release's order %s runs are left, %v", left, err)
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
		case f.Delay != "":
			how = "late"
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
