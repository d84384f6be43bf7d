package gateway

import (
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// A gateway that goes on for ever with a byte an answer, or begins anew each time, does not
// come on; one that is as fast as it must be does, however often it breaks off.
func TestAttackDownloadThatNeverEnds(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		each, restart int64 // bytes that an answer adds; after how many it begins anew
		every         time.Duration
		on            int // how often it comes on, of a hundred answers
	}{
		"a byte an answer":      {1, 0, 500 * time.Millisecond, 0},
		"below the floor":       {bounds.RateFloor - 1, 0, time.Second, 0},
		"anew from the start":   {1 << 20, 1 << 21, time.Second, 2},
		"slow, and fast enough": {bounds.RateFloor, 0, time.Second, 100},
		"fast":                  {1 << 20, 0, time.Second, 100},
	} {
		p, at, on := progress{since: began}, int64(0), 0
		for i := range 100 {
			if at += c.each; c.restart > 0 && at > c.restart {
				at = c.each
			}
			if p.on(at, began.Add(time.Duration(i+1)*c.every)) {
				on++
			}
		}
		if on != c.on {
			t.Errorf("%s: it came on %d times, want %d", name, on, c.on)
		}
	}
}
