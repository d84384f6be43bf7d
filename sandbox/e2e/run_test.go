package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

// run is a release in a world of its own, behind a gate.
type run struct {
	world   *world.World
	gate    *gate
	script  *script
	program string
	state   string // folder of the builder
	args    []string
	more    []string      // of the environment
	root    string        // file of the authorities that certify who signs; empty for a key
	earlier poco.AppOrder // of an earlier release

	onWrite func(what string) // may be nil
	process atomic.Pointer[os.Process]

	steps   []string // that were done, of the last process
	writes  []string // likewise
	printed []string // lines of the last process
	took    time.Duration
}

func newRun(t *testing.T, tools tools, g *gate) *run {
	t.Helper()
	return newRunIn(t, startWorld(t), tools, g, "killed")
}

// newRunIn is newRun in a world in which others of other names run after each other.
func newRunIn(t *testing.T, w *world.World, tools tools, g *gate, name string) *run {
	t.Helper()
	s := &script{slot: &slot{world: w}, name: name, key: walletOf(name), dir: t.TempDir(), repository: g.registry + "/" + name}
	if err := fund(w, s.key); err != nil {
		t.Fatal(err)
	}
	if err := s.writeFiles(tools); err != nil {
		t.Fatal(err)
	}
	r := &run{
		world: w, gate: g, script: s, program: filepath.Join(tools.dir, "mrelease"), state: filepath.Join(s.dir, "state"),
		args: []string{"release", "--version", "1.0.0"}, earlier: s.sellEarlier(t),
	}
	r.configure(t, "")
	if err := os.Mkdir(r.temporary(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

// blind lets a market not see by itself what the chain knows.
func blind() fault.Rule { return fault.Rule{Service: "watcher", Drop: true, Times: 1_000_000} }

// sellEarlier puts an order of an earlier release on sale, which a release retires; in a
// market that does not see by itself what the chain knows of it.
func (s *script) sellEarlier(t *testing.T) poco.AppOrder {
	t.Helper()
	if err := s.world.Faults.Add(blind()); err != nil {
		t.Fatal(err)
	}
	c := s.world.V6
	client, err := node.Connect(t.Context(), poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(s.key)))
	if err != nil {
		t.Fatal(err)
	}
	app := poco.App{Owner: wallet.Address, Name: s.name, Type: poco.TypeDocker, Multiaddr: []byte(s.repository + ":0.9.0")}
	reg, err := apps.Register(t.Context(), client, wallet, app, measure.Enclave{})
	if err != nil {
		t.Fatal(err)
	}
	terms := orders.Terms{Volume: 1, Tag: poco.TEE(), RequesterRestrict: wallet.Address}
	order := orders.New(client.Domain(), reg.Address, terms)
	if _, err := orders.Offer(t.Context(), client, market.Client{URL: s.world.Market, ChainID: c.ID}, wallet, order); err != nil {
		t.Fatal(err)
	}
	return order
}

// configure writes mrelease.yaml, in which the world is behind the gate.
func (r *run) configure(t *testing.T, more string) {
	t.Helper()
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	gate := strings.NewReplacer(host(r.world.V6.RPC), host(r.gate.rpc), host(r.world.Market), host(r.gate.market))
	if err := writeFile(filepath.Join(r.script.dir, "mrelease.yaml"), more+gate.Replace(r.script.config())); err != nil {
		t.Fatal(err)
	}
}

// last is the last line that it printed.
func (r *run) last() string {
	if len(r.printed) == 0 {
		return ""
	}
	return r.printed[len(r.printed)-1]
}

func (r *run) temporary() string { return filepath.Join(r.script.dir, "tmp") }

// stepDone matches the line of a step.
var stepDone = regexp.MustCompile(`^✓ (\w+) +[0-9.]+ s  `)

// release runs mrelease until it ends, or kills it; it returns how it ended.
func (r *run) release(t *testing.T, d death) error {
	t.Helper()
	c := exec.CommandContext(t.Context(), r.program, r.args...)
	c.Dir = r.script.dir
	c.Env = append(os.Environ(), "HOME="+r.script.dir, "MRELEASE_STATE="+r.state, "TMPDIR="+r.temporary(),
		"SOURCE_DATE_EPOCH=1700000000", "MRELEASE_COMMIT="+strings.Repeat("c0", 20), "MRELEASE_WALLET_PASSWORD="+walletPassword, "COSIGN_PASSWORD="+cosignPassword)
	c.Env = append(c.Env, r.more...)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = c.Process.Signal(cmp.Or(d.signal, syscall.SIGKILL)) } // fails only when it has ended
	r.steps, r.writes, r.printed = nil, nil, nil
	r.gate.open(r.world, r.watch(d, kill))
	start := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.process.Store(c.Process)
	if d.delay > 0 {
		defer time.AfterFunc(d.delay, kill).Stop()
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		r.printed = append(r.printed, lines.Text())
		if m := stepDone.FindStringSubmatch(lines.Text()); m != nil {
			r.steps = append(r.steps, m[1])
			if m[1] == d.step {
				kill()
			}
		}
	}
	err = c.Wait()
	r.took = time.Since(start)
	return err
}

// watch notes writes and kills at the one that the death names.
func (r *run) watch(d death, kill func()) func(what string) bool {
	var mu sync.Mutex
	return func(what string) bool {
		mu.Lock()
		defer mu.Unlock()
		r.writes = append(r.writes, what)
		if r.onWrite != nil {
			r.onWrite(what)
		}
		if len(r.writes) != d.write {
			return true
		}
		kill()
		return false
	}
}

// move lets the release go on on another machine, that has the source, the configuration
// and the keys, and nothing of what the first one made.
func (r *run) move(t *testing.T) {
	t.Helper()
	to := r.copyFiles(t)
	r.script.dir, r.state = to, t.TempDir()
	if err := os.Mkdir(r.temporary(), 0o700); err != nil {
		t.Fatal(err)
	}
}

// copyFiles copies what a release is made from into a new folder: not dist, state, tmp and
// what a home has.
func (r *run) copyFiles(t *testing.T) (to string) {
	t.Helper()
	to = t.TempDir()
	entries, err := os.ReadDir(r.script.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.script.dir, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// finish runs the release to its end, and makes sure that there is one of each
// thing and nothing else.
func (r *run) finish(t *testing.T) {
	t.Helper()
	if err := r.release(t, death{}); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(r.printed, "\n"))
	}
	got, err := look(t.Context(), r.world, r.world.Registry+"/"+r.script.name, crypto.PubkeyToAddress(r.script.key.PublicKey))
	// Beside the release there is the earlier one's app, whose order was closed.
	if want := (holdings{images: 1, signatures: 1, attestations: 1, apps: 2, orders: 1, transactions: 3}); err != nil || got != want {
		t.Errorf("the world holds %s, %v; want %s", got, err, want)
	}
	r.checkLeftovers(t)
}

// checkLeftovers looks for what a run may leave beside the image and the record.
func (r *run) checkLeftovers(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte(r.script.dir)) || bytes.Contains(mounts, []byte(r.state)) {
		t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
	if left := containers(t, r.state); len(left) > 0 {
		t.Errorf("containers are left: %s", left)
	}
	for dir, allowed := range map[string][]string{"dist": {"image", "image.lock", "image.log", "record.json", "summary.md"}, "tmp": {}} {
		entries, err := os.ReadDir(filepath.Join(r.script.dir, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		for _, e := range entries {
			if !slices.Contains(allowed, e.Name()) {
				t.Errorf("%s holds %s", dir, e.Name())
			}
		}
	}
}

// containers returns the state files of the containers whose bundles lie below a
// folder. runc's own list fails when a container of somebody else ends meanwhile.
func containers(t *testing.T, folder string) (states []string) {
	t.Helper()
	all, err := filepath.Glob("/run/runc/*/state.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		state, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if bytes.Contains(state, []byte(folder)) {
			states = append(states, file)
		}
	}
	return states
}

func (r *run) record(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.script.dir, "dist", "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
