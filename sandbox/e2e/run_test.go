package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/sandbox/world"
)

// run is a release in a world of its own, behind a gate.
type run struct {
	world   *world.World
	gate    *gate
	script  *script
	program string

	steps  []string // that were done, of the last process
	writes []string // likewise
	last   string   // line that it printed
	took   time.Duration
}

func newRun(t *testing.T, tools tools, g *gate) *run {
	t.Helper()
	w := startWorld(t)
	s := &script{slot: &slot{world: w}, name: "killed", key: walletOf("killed"), dir: t.TempDir(), repository: g.registry + "/killed"}
	if err := fund(w, s.key); err != nil {
		t.Fatal(err)
	}
	if err := s.writeFiles(tools); err != nil {
		t.Fatal(err)
	}
	r := &run{world: w, gate: g, script: s, program: filepath.Join(tools.dir, "mrelease")}
	r.leadThroughGate(t)
	if err := os.Mkdir(r.temporary(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *run) leadThroughGate(t *testing.T) {
	t.Helper()
	path := filepath.Join(r.script.dir, "mrelease.yaml")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	text := strings.NewReplacer(host(r.world.V6.RPC), host(r.gate.rpc), host(r.world.Market), host(r.gate.market)).Replace(string(config))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *run) state() string     { return filepath.Join(r.script.dir, "state") }
func (r *run) temporary() string { return filepath.Join(r.script.dir, "tmp") }

// stepDone matches the line of a step.
var stepDone = regexp.MustCompile(`^✓ (\w+) +[0-9.]+ s  `)

// release runs mrelease until it ends, or kills it; it returns how it ended.
func (r *run) release(t *testing.T, d death) error {
	t.Helper()
	c := exec.CommandContext(t.Context(), r.program, "release", "--version", "1.0.0")
	c.Dir = r.script.dir
	c.Env = append(os.Environ(), "HOME="+r.script.dir, "MRELEASE_STATE="+r.state(), "TMPDIR="+r.temporary(),
		"SOURCE_DATE_EPOCH=1700000000", "MRELEASE_WALLET_PASSWORD="+walletPassword, "COSIGN_PASSWORD="+cosignPassword)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = c.Process.Kill() } // fails only when it has ended
	r.steps, r.writes = nil, nil
	r.gate.open(r.world, r.watch(d, kill))
	start := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if d.delay > 0 {
		defer time.AfterFunc(d.delay, kill).Stop()
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		r.last = lines.Text()
		if m := stepDone.FindStringSubmatch(r.last); m != nil {
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
func (r *run) watch(d death, kill func()) func(moment, what string) bool {
	var mu sync.Mutex
	count := map[string]int{}
	return func(moment, what string) bool {
		mu.Lock()
		defer mu.Unlock()
		count[moment]++
		if moment == before {
			r.writes = append(r.writes, what)
		}
		if moment != d.moment || count[moment] != d.write {
			return true
		}
		kill()
		return false
	}
}

// finish runs the release to its end, and makes sure that there is one of each
// thing and nothing else.
func (r *run) finish(t *testing.T) {
	t.Helper()
	if err := r.release(t, death{}); err != nil {
		t.Fatalf("%v; the last line: %s", err, r.last)
	}
	got, err := look(t.Context(), r.world, r.world.Registry+"/killed", crypto.PubkeyToAddress(r.script.key.PublicKey))
	if want := (holdings{1, 1, 1, 1, 1}); err != nil || got != want {
		t.Errorf("the world holds %s, %v; want %s", got, err, want)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte(r.script.dir)) {
		t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
	containers, err := exec.CommandContext(t.Context(), "runc", "list", "-f", "json").Output()
	if err != nil || bytes.Contains(containers, []byte(r.script.dir)) {
		t.Errorf("containers are left: %v\n%s", err, containers)
	}
	for dir, allowed := range map[string][]string{"dist": {"image", "record.json"}, "tmp": {}} {
		entries, err := os.ReadDir(filepath.Join(r.script.dir, dir))
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if !slices.Contains(allowed, e.Name()) {
				t.Errorf("%s holds %s", dir, e.Name())
			}
		}
	}
}

func (r *run) record(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.script.dir, "dist", "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
