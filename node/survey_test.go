package node

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// A node whose block is of this minute is behind nobody, whatever time to come another one
// says; one that is stuck is, of whoever has later blocks.
func TestAttackBehindATimeToCome(t *testing.T) {
	now := time.Now().Unix()
	at := func(number uint64, seconds int64) view {
		return view{head: &block{Number: hexutil.Uint64(number), Time: hexutil.Uint64(now + seconds)}}
	}
	for name, c := range map[string]struct {
		node, furthest view
		behind         bool
	}{
		"fresh, beside a lie":           {at(1000, -20), at(0xffffff, behindSeconds-1), false},
		"fresh, beside a greater lie":   {at(1000, -20), at(0xffffff, 1e6), false},
		"fresh, beside one that is too": {at(1000, -20), at(1100, 0), false},
		"stuck":                         {at(1000, -200), at(1100, 0), true},
		"stuck, beside an old one":      {at(1000, -900), at(1100, -800), true},
		"the only one":                  {view{}, view{}, false},
		"of few blocks":                 {at(1000, -200), at(1000+behindBlocks, 0), false},
	} {
		if got := c.node.behind(c.furthest); got != c.behind {
			t.Errorf("%s: behind: %t", name, got)
		}
	}
}
