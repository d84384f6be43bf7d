//go:build interop

package interop

import (
	"fmt"
	"testing"

	"github.com/mrelease/mrelease/sandbox/world"
)

const (
	legacyEnclave = "format: legacy"
	jsonEnclave   = "format: json, framework: SCONE, version: v5.9, entrypoint: /app, heap: 1G"
	noEnclave     = "format: none"
)

// edition is a version of iExec's command line, the release that it can still
// trade, and those that it refuses. Each has accounts of its own, so that they
// can run at the same time.
type edition struct {
	name         string
	version      int
	chain        world.Chain
	enclave, tag string
	owner        int
	init         []string // options of app init for an app that it can publish
	unchecked    []string // options that leave out a check which only the hosted services can pass
	refused      []refusal
}

// refusal is a release of which a version of the command line wants no part.
type refusal struct {
	name         string
	enclave, tag string
	publish      string // its words for an order of such an app
	fill         string // its words for our order
}

func (e edition) pool() int      { return e.owner + 1 }
func (e edition) requester() int { return e.owner + 2 }

func editions(s *stage) []edition {
	const bare = "'tee' tag must be used with a tee framework"
	return []edition{
		{name: "5.3.1", version: 5, chain: s.V5, enclave: legacyEnclave, tag: "tee", owner: 1, unchecked: []string{"--skip-request-check"}},
		{
			name: "8.24.0", version: 8, chain: s.V5, enclave: jsonEnclave, tag: "tee,scone", owner: 4, init: []string{"--tee-framework", "scone"},
			refused: []refusal{{"tag 0x1", legacyEnclave, "tee", bare, bare}},
		},
		{
			name: "9.0.1", version: 9, chain: s.V6, enclave: noEnclave, tag: "tee,tdx", owner: 7,
			refused: []refusal{
				{"tag 0x1", noEnclave, "tee", bare, bare},
				{"legacy enclave", legacyEnclave, "tee,tdx", "no longer supported", "no longer supported"},
				{"JSON enclave", jsonEnclave, "tee,scone", "Unsupported legacy TEE framework tag", "Unsupported legacy TEE framework tag"},
			},
		},
	}
}

// Each version of the command line trades the release that it can still trade,
// and refuses what mrelease plan says it refuses; and what it makes itself is read
// by ours.
func TestIExec(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, e := range editions(s) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, s, e)
			t.Run("trades", c.trades)
			for _, r := range e.refused {
				t.Run("refuses "+r.name, func(t *testing.T) { c.refusesRelease(t, r) })
			}
			t.Run("is read", c.isRead)
			if !testing.Short() || e.version == 9 {
				t.Run("project", newCLI(t, s, e).findsItsProject)
			}
		})
	}
}

// ours is a release by the project's owner.
func (c *cli) ours(name, enclave, tag string) release {
	return release{name: fmt.Sprintf("%s-%d", name, c.version), chain: c.chain, enclave: enclave, tag: tag, owner: c.owner, dir: c.Dir}
}
