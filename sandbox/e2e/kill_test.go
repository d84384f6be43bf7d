package e2e

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

var (
	kills = flag.Int("kills", 0, "how many releases TestKill kills at random moments; with 0 only where most is at stake, else also after each step and each write, with -short after one upload of each kind")
	seed  = flag.Uint64("seed", 1, "chooses the random moments of TestKill")
)

// TestKill kills releases, runs them again, and compares with a release that
// nobody disturbed: one image, one signature, one attestation, one app, one order in
// the place of an earlier release's, and the same record, byte for byte. Each release happens in a world of its own;
// those that are killed behind the build take over the builder's state, which
// saves time and shows that it withstands many kills.
func TestKill(t *testing.T) {
	t.Parallel()
	needBuilder(t)
	tools, gate := prepare(t), newGate(t)
	undisturbed := newRun(t, tools, gate)
	undisturbed.finish(t)
	want := undisturbed.record(t)
	for _, d := range deaths(undisturbed) {
		t.Run(d.name, func(t *testing.T) {
			r := newRun(t, tools, gate)
			if d.write > 0 {
				r.state = undisturbed.state
			}
			err := r.release(t, d)
			t.Logf("after %d writes and the line %q: %v", len(r.writes), r.last(), err)
			r.finish(t)
			if got := r.record(t); got != want {
				t.Errorf("the record is another one than that of an undisturbed release:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// A release that was killed is finished on another machine, which has the commit, the
// configuration and the keys, and nothing of what the first one made. A seal is random, so
// a rebuild would be another image: what goes on is the image that was pushed.
func TestAnotherMachineFinishes(t *testing.T) {
	t.Parallel()
	needBuilder(t)
	tools, gate := prepare(t), newGate(t)
	for _, step := range []string{"push", "register"} {
		t.Run(step, func(t *testing.T) {
			r := newRun(t, tools, gate)
			r.configure(t, "build: {args: {SEAL: random}}\n")
			err := r.release(t, death{step: step})
			t.Logf("after the line %q: %v", r.last(), err)
			r.move(t)
			r.finish(t)
			want := r.record(t)
			r.finish(t)
			if got := r.record(t); got != want {
				t.Errorf("a further run wrote another record:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// SIGTERM, which runners send, ends a release in good order.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	needBuilder(t)
	r := newRun(t, prepare(t), newGate(t))
	err := r.release(t, death{step: "inputs", signal: syscall.SIGTERM})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.Contains(r.last(), "remedy") {
		t.Errorf("%v\n%s", err, strings.Join(r.printed, "\n"))
	}
	r.checkTold(t, `E-INTERRUPTED: interrupted: done inputs(, keys)?(; begun (keys|build))?; not done (build, )?measure, lock, (keys, )?push, sign, `)
	r.checkLeftovers(t)
	err = r.release(t, death{step: "push", signal: syscall.SIGINT})
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("%v\n%s", err, strings.Join(r.printed, "\n"))
	}
	r.checkTold(t, "push(; begun sign; not done|; not done sign,) attest, register, offer, retire, record")
	r.checkTold(t, `image +done \(.*\n  tag +done \(.*\n  signature +(begun|not done)`)
	r.checkTold(t, `record +not done: will be done by running again\n`)
	r.finish(t)
}

// checkTold looks for the verdict of an interrupted run, which tells no failure.
func (r *run) checkTold(t *testing.T, want string) {
	t.Helper()
	printed := strings.Join(r.printed, "\n")
	if !regexp.MustCompile(want).MatchString(printed) || strings.Contains(printed, "failed") || strings.Contains(printed, "context canceled") {
		t.Errorf("printed:\n%s\nwant %q, and no failure", printed, want)
	}
}

// Somebody who may push moves the tag when the image was signed and attested: no
// app is registered that names the tag.
func TestTagMovedDuringARelease(t *testing.T) {
	t.Parallel()
	needBuilder(t)
	r := newRun(t, prepare(t), newGate(t))
	repo, err := name.NewRepository(r.world.Registry + "/killed")
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	manifests := 0
	r.onWrite = func(what string) {
		if !strings.Contains(what, "/manifests/") {
			return
		}
		if manifests++; manifests == 4 { // by digest, by tag, the signature's and the attestation's
			if err := remote.Write(repo.Tag("1.0.0"), other); err != nil {
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := r.release(t, death{}); !errors.As(err, &exit) || exit.ExitCode() != 40 || manifests != 4 {
		t.Errorf("%v after %d manifests:\n%s", err, manifests, strings.Join(r.printed, "\n"))
	}
	got, err := look(t.Context(), r.world, repo.Name(), crypto.PubkeyToAddress(r.script.key.PublicKey))
	if err != nil || got.apps != 1 || got.orders != 1 || got.transactions != 1 {
		t.Errorf("the world holds %s, %v; want no app beside the earlier release's, which stays on sale", got, err)
	}
}

// death is when a run is killed. The zero death is none.
type death struct {
	name  string
	step  string        // after the line of this step
	write int           // after the write of this number, from 1, before its answer
	kind  string        // of that write: its method, what it writes, and how far the release was
	delay time.Duration // after this time

	signal syscall.Signal // zero: SIGKILL
}

// deaths says when to kill, from what an undisturbed release did.
func deaths(undisturbed *run) []death {
	var all []death
	for _, step := range undisturbed.steps {
		all = append(all, death{name: "after step " + step, step: step})
	}
	manifests := 0
	for i, what := range undisturbed.writes {
		method, _, _ := strings.Cut(what, " ")
		kind := fmt.Sprintf("%s %s behind %d manifests", method, label(what), manifests)
		all = append(all, death{name: fmt.Sprintf("after write %d %s", i+1, label(what)), write: i + 1, kind: kind})
		if label(what) == "manifests" {
			manifests++
		}
	}
	if *kills == 0 {
		return slices.DeleteFunc(all, func(d death) bool { return !d.isSharp() })
	}
	if testing.Short() {
		all = withoutMoreUploads(all)
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	for range *kills {
		delay := time.Duration(random.Int64N(int64(undisturbed.took)))
		all = append(all, death{name: "at " + delay.Round(time.Millisecond).String(), delay: delay})
	}
	return all
}

// withoutMoreUploads leaves, of the uploads that belong to the same manifest, one for
// each of the requests that an upload consists of. The others differ from it in what
// they carry only. All else is kept.
func withoutMoreUploads(all []death) []death {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(d death) bool {
		again := seen[d.kind]
		seen[d.kind] = true
		return again && strings.Contains(d.kind, " uploads ")
	})
}

// label says what a write is, without what differs from run to run.
func label(what string) string {
	for _, kind := range []string{"uploads", "manifests", "apporders"} {
		if strings.Contains(what, kind) {
			return kind
		}
	}
	return "transaction"
}

// isSharp chooses the moments at which most is at stake: something was written,
// and the run does not know it.
func (d death) isSharp() bool {
	written := d.write > 0 && !strings.HasSuffix(d.name, "uploads")
	return written || d.step == "build"
}
