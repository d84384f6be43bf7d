package requesttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/ipfs"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

var every = flag.Bool("every", false, "kill request run at each request to the node, too, before and after it is done")

// Services that request run asks, as the test calls them.
const (
	asks      = "question"    // the node, with whatever
	sends     = "transaction" // the node, with a transaction
	downloads = "download"    // the gateway
)

// doom is when a process is killed: at a request, before or after it is done, or at a line
// that it prints.
type doom struct {
	service string
	number  int // from 1
	done    bool
	line    *regexp.Regexp
}

// String names it.
func (d doom) String() string {
	switch {
	case d.line != nil:
		return "at the line " + d.line.String()
	case d.done:
		return fmt.Sprintf("after %s %d", d.service, d.number)
	}
	return fmt.Sprintf("before %s %d", d.service, d.number)
}

// killing is a requester whose program is killed, behind a gate that counts.
type killing struct {
	*side
	program, dir string
	store        *ipfs.Gateway
	rpc, gateway string // URLs of the gate

	mu    sync.Mutex
	count map[string]int
	first map[string]int // what the last process counted that met its doom, or none
	paths map[string]int // downloads, by path
	doom  doom
	kill  func()
}

const runsOfKill = 3

// work makes results of the number of the run.
func (k *killing) work(_ context.Context, t workerpool.Task) (workerpool.Result, error) {
	text := fmt.Sprintf("result %d", t.Index)
	path, err := k.store.Add(zipOf(k.t, [2]string{"result.txt", text}, [2]string{"computed.json", `{"deterministic-output-path":"/iexec_out/result.txt"}`}))
	return workerpool.Result{Digest: sha256.Sum256([]byte(text)), Location: fmt.Appendf(nil, `{"storage":"ipfs","location":%q}`, path)}, err
}

// newKilling makes a requester on one of the chains.
func newKilling(t *testing.T, chain func(*world.World) world.Chain) *killing {
	t.Helper()
	program, err := filepath.Abs("../../bin/mrelease")
	must(t, err)
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; build it with: make bin/mrelease", err)
	}
	k := &killing{program: program, dir: t.TempDir(), store: &ipfs.Gateway{}}
	k.side = &side{t: t}
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{Work: k.work}})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	k.side = newSide(t, w, chain(w))
	k.sell(orders.Terms{Price: 4, Volume: 10_000, Tag: poco.TEE()})
	target, err := url.Parse(k.chain.RPC)
	must(t, err)
	k.rpc = k.gate(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	k.gateway = k.gate(k.store)
	k.writeFiles()
	return k
}

// writeFiles writes configuration and wallet.
func (k *killing) writeFiles() {
	k.t.Helper()
	config := fmt.Sprintf("chain: here\nchains:\n  here: {id: %d, rpc: %q, hub: %q, market: %q, gateway: %q, fees: %s, development: true}\nwallet: {keystore: wallet.json}\n",
		k.chain.ID, k.rpc, k.chain.Hub.Hex(), k.world.Market, k.gateway, k.chain.Fees)
	must(k.t, os.WriteFile(filepath.Join(k.dir, "mrelease.yaml"), []byte(config), 0o600))
	file, err := keystore.EncryptKey(&keystore.Key{Id: uuid.New(), Address: k.requester.Address, PrivateKey: world.Key(2)}, "wallet", 2, 1)
	must(k.t, err)
	must(k.t, os.WriteFile(filepath.Join(k.dir, "wallet.json"), file, 0o600))
}

// gate stands before a service.
func (k *killing) gate(service http.Handler) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the client is dead
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch dies, done := k.pass(r, string(body)); {
		case dies && done:
			service.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
			fallthrough
		case dies:
			k.kill()
			panic(http.ErrAbortHandler)
		}
		service.ServeHTTP(w, r)
	}))
	k.t.Cleanup(server.Close)
	return server.URL
}

// pass counts a request, and says whether it is the last one of its process.
func (k *killing) pass(r *http.Request, body string) (dies, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := []string{asks}
	if strings.Contains(body, "eth_sendRawTransaction") {
		of = append(of, sends)
	}
	if strings.HasPrefix(r.URL.Path, "/ipfs/") {
		of = []string{downloads}
		if r.URL.RawQuery == "" {
			k.paths[r.URL.Path]++
		}
	}
	for _, service := range of {
		k.count[service]++
		dies = dies || k.doom.service == service && k.doom.number == k.count[service]
	}
	return dies, k.doom.done
}

// run runs the program until it ends, or meets its doom. It returns the exit code, -1 for a
// process that was killed, and what it printed.
func (k *killing) run(d doom, args ...string) (code int, printed string) {
	k.t.Helper()
	c := exec.CommandContext(k.t.Context(), k.program, append([]string{"request"}, args...)...)
	c.Dir = k.dir
	c.Env = append(os.Environ(), "HOME="+k.dir, "MRELEASE_WALLET_PASSWORD=wallet")
	stderr, err := c.StderrPipe()
	must(k.t, err)
	k.mu.Lock()
	k.count, k.doom = map[string]int{}, d
	k.kill = func() { _ = c.Process.Kill() } // fails only when it has ended
	k.mu.Unlock()
	must(k.t, c.Start())
	var lines []string
	for s := bufio.NewScanner(stderr); s.Scan(); {
		lines = append(lines, s.Text())
		if d.line != nil && d.line.MatchString(s.Text()) {
			k.kill()
		}
	}
	err = c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		k.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), strings.Join(lines, "\n")
}

// purse is what the requester has outside of the hub, in nRLC.
func (k *killing) purse() *big.Int {
	k.t.Helper()
	purse, err := node.PurseOf(k.t.Context(), k.trade.Chain, k.requester.Address)
	must(k.t, err)
	return purse
}

// live lets a program buy and fetch a request's runs, kills it, and runs it again; then there
// is one deal that was paid once, and its results are there. It reports whether the program
// was killed.
func (k *killing) live(d doom, name string) (killed bool) {
	k.t.Helper()
	r := k.request(func(o *poco.RequestOrder) { o.Volume = big.NewInt(runsOfKill) })
	must(k.t, request.WriteOrder(filepath.Join(k.dir, name+".json"), k.trade.Chain.Domain(), r))
	before := k.purse()
	k.paths = map[string]int{}
	args := []string{"run", name + ".json", "--deposit", "--to", filepath.Join(name, "result")}
	first, printed := k.run(d, args...)
	k.first = maps.Clone(k.count)
	if again, told := k.run(doom{}, args...); again != 0 {
		k.t.Fatalf("%s: ended with %d:\n%s\nand again with %d:\n%s", d, first, printed, again, told)
	}
	deals, err := deal.OfRequest(k.t.Context(), k.trade.Chain, r.RequestOrder)
	free, locked := k.stake()
	paid := new(big.Int).Sub(before, k.purse())
	if err != nil || len(deals) != 1 || free != 0 || locked != 0 || paid.Int64() != runsOfKill*104 {
		k.t.Errorf("%s: %d deals (%v), stake %d and %d, paid %s", d, len(deals), err, free, locked, paid)
	}
	if !k.isThere(name) {
		k.t.Errorf("%s: the results are not there", d)
	}
	times := 0
	for _, n := range k.paths {
		times += n
	}
	if times > runsOfKill+1 { // the one that it was killed in, at most
		k.t.Errorf("%s: %d results were downloaded %d times", d, runsOfKill, times)
	}
	return first == -1
}

// isThere reports whether all results are in their folder, and nothing is left beside it.
func (k *killing) isThere(name string) bool {
	for i := range runsOfKill {
		got, err := os.ReadFile(filepath.Join(k.dir, name, "result", fmt.Sprint(i), "result.txt"))
		if err != nil || string(got) != fmt.Sprintf("result %d", i) {
			return false
		}
	}
	entries, err := os.ReadDir(filepath.Join(k.dir, name))
	must(k.t, err)
	return len(entries) == 1
}

// dooms are what a process that lives to its end gives occasion for.
func (k *killing) dooms() []doom {
	var all []doom
	for _, line := range []string{`^deposited: `, `^matching with`, `^deal 0x`, `: completed`, `^result: \S+/0,`, `^result: \S+/1,`, `^all of it is in`} {
		all = append(all, doom{line: regexp.MustCompile(line)})
	}
	services := []string{sends, downloads}
	if *every {
		services = append(services, asks)
	}
	for _, service := range services {
		for n := range k.first[service] {
			all = append(all, doom{service: service, number: n + 1}, doom{service: service, number: n + 1, done: true})
		}
	}
	return all
}

// request run that is killed, at a line, a transaction or a download, and run again buys
// and pays once, and brings all results; those that were whole are not downloaded again.
func TestKillRun(t *testing.T) {
	for name, chain := range map[string]func(*world.World) world.Chain{
		"v6": func(w *world.World) world.Chain { return w.V6 },
		"v5": func(w *world.World) world.Chain { return w.V5 },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKilling(t, chain)
			if k.live(doom{}, "undisturbed") {
				t.Fatal("it was killed by nobody")
			}
			killed, all := 0, k.dooms()
			for i, d := range all {
				was := k.live(d, fmt.Sprint(i))
				if !was && (d.service == sends || d.service == downloads) {
					t.Errorf("%s: it was not killed", d) // a process may outrun a line, or ask less
				}
				if was {
					killed++
				}
			}
			t.Logf("killed %d of %d times", killed, len(all))
		})
	}
}

// A run that nobody does says while it waits what it waits for, and at the deadline what
// that may mean; it is gone on with, and claimed.
func TestRunThatNobodyDoes(t *testing.T) {
	k := newKilling(t, func(w *world.World) world.Chain { return w.V6 })
	must(t, request.WriteOrder(filepath.Join(k.dir, "idle.json"), k.trade.Chain.Domain(), k.request(nil)))
	k.fault(fault.Rule{Service: string(workerpool.Idle), Drop: true})
	waits := doom{line: regexp.MustCompile(`nothing new for .*: task 0x\w+ is initialised, no worker has contributed; .* left until `)}
	if code, printed := k.run(waits, "run", "idle.json", "--deposit"); code != -1 {
		t.Fatalf("ended with %d:\n%s", code, printed)
	}
	if code, printed := k.run(doom{}, "claim", "idle.json"); code != 18 || !strings.Contains(printed, "E-CLAIM-EARLY") {
		t.Errorf("claimed before the deadline: %d\n%s", code, printed)
	}
	must(t, k.chain.Advance(time.Hour))
	for _, want := range []string{"E-TASK-LATE", "initialised: no worker has contributed", "may mean", "the app's program does not start", "mrelease request claim"} {
		if code, printed := k.run(doom{}, "run", "idle.json"); code != 18 || !strings.Contains(printed, want) {
			t.Errorf("after the deadline: %d, want %q in\n%s", code, want, printed)
		}
	}
	if code, printed := k.run(doom{}, "claim", "idle.json"); code != 0 || !strings.Contains(printed, "claimed: 1") {
		t.Errorf("claimed: %d\n%s", code, printed)
	}
	if code, printed := k.run(doom{}, "run", "idle.json"); code != 18 || !strings.Contains(printed, "E-TASK-FAILED") || !strings.Contains(printed, "no worker has contributed") {
		t.Errorf("after the claim: %d\n%s", code, printed)
	}
	if free, locked := k.stake(); free != 104 || locked != 0 {
		t.Errorf("the stake is %d and %d", free, locked)
	}
}

// What came back before a claim went wrong is told beside that.
func TestClaimThatBreaksOff(t *testing.T) {
	k := newKilling(t, func(w *world.World) world.Chain { return w.V6 })
	r := k.request(func(o *poco.RequestOrder) { o.Volume = big.NewInt(2) })
	must(t, request.WriteOrder(filepath.Join(k.dir, "late.json"), k.trade.Chain.Domain(), r))
	k.fault(fault.Rule{Service: string(workerpool.Unseen), Drop: true})
	_, _, err := k.trade.Buy(t.Context(), k.requester, r, deal.Buying{Deposit: true})
	must(t, err)
	must(t, k.chain.Advance(time.Hour))
	k.fault(fault.Rule{Service: "rpc", Match: "eth_sendRawTransaction", Delay: "1ms"})
	k.fault(fault.Rule{Service: "rpc", Match: "eth_sendRawTransaction", Status: http.StatusBadRequest, Times: 99})
	if code, printed := k.run(doom{}, "claim", "late.json"); code == 0 || !strings.Contains(printed, "claimed: 1") || !strings.Contains(printed, "E-RPC") {
		t.Errorf("ended with %d:\n%s", code, printed)
	}
	k.world.Faults.Clear()
	if code, printed := k.run(doom{}, "claim", "late.json"); code != 0 || !strings.Contains(printed, "claimed: 1") {
		t.Errorf("again: ended with %d:\n%s", code, printed)
	}
	if free, locked := k.stake(); free != 208 || locked != 0 {
		t.Errorf("the stake is %d and %d", free, locked)
	}
}
