package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	kills = flag.Int("kills", 0, "how many releases TestKill kills at random moments; with 0 it is short, else it also kills one after each step, and one before and after each write")
	seed  = flag.Uint64("seed", 1, "chooses the random moments of TestKill")
)

// TestKill kills releases, runs them again, and compares with a release that
// nobody disturbed: one image, one signature, one app, one order, and the same
// record, byte for byte. Each release happens in a world and with a builder's
// state of its own.
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
			err := r.release(t, d)
			t.Logf("after %d writes and the line %q: %v", len(r.writes), r.last, err)
			r.finish(t)
			if got := r.record(t); got != want {
				t.Errorf("the record is another one than that of an undisturbed release:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// death is when a run is killed. The zero death is none.
type death struct {
	name   string
	step   string        // after the line of this step
	moment string        // before or after ...
	write  int           // ... the write of this number, from 1
	delay  time.Duration // after this time
}

// deaths says when to kill, from what an undisturbed release did.
func deaths(undisturbed *run) []death {
	var all []death
	for _, step := range undisturbed.steps {
		all = append(all, death{name: "after step " + step, step: step})
	}
	for i, what := range undisturbed.writes {
		for _, moment := range []string{before, after} {
			all = append(all, death{name: fmt.Sprintf("%s write %d %s", moment, i+1, label(what)), moment: moment, write: i + 1})
		}
	}
	if *kills == 0 {
		return slices.DeleteFunc(all, func(d death) bool { return !d.isSharp() })
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	for range *kills {
		delay := time.Duration(random.Int64N(int64(undisturbed.took)))
		all = append(all, death{name: "at " + delay.Round(time.Millisecond).String(), delay: delay})
	}
	return all
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
	written := d.moment == after && !strings.HasSuffix(d.name, "uploads")
	return written || slices.Contains([]string{"build", "push", "offer"}, d.step)
}
