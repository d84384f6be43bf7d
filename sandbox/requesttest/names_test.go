package requesttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// An app is found by its name, by the contracts of ENS themselves; a name that nobody has,
// or that has no address, is told as that.
func TestNames(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V5)
	chain := s.trade.Chain
	var err error
	chain.ENS, err = protocol.DeployENS(t.Context(), s.chain.Client, world.Key(6), "../node_modules", map[string]common.Address{
		"hello-world.apps.iexec.eth": s.app, "empty.apps.iexec.eth": {},
	})
	must(t, err)
	if at, err := request.FindApp(t.Context(), chain, "hello-world.apps.iexec.eth"); err != nil || at != s.app {
		t.Errorf("found %s, %v; want %s", at, err, s.app)
	}
	for name, problem := range map[string]string{
		"none.apps.iexec.eth":          "nobody has the name",
		"apps.iexec.eth":               "nobody has the name, or it leads nowhere", // a domain without a resolver
		"empty.apps.iexec.eth":         "the name has no address",
		"world.apps.iexec.eth":         "nobody has the name",
		"a.hello-world.apps.iexec.eth": "nobody has the name",
	} {
		var failed *node.NameError
		if at, err := request.FindApp(t.Context(), chain, name); !errors.As(err, &failed) || !strings.Contains(failed.Problem, problem) {
			t.Errorf("%s: %s, %v; want %q", name, at, err, problem)
		}
	}
	// Letters that look like others are not taken for them, nor made to fit.
	for _, name := range []string{"Hello-World.apps.iexec.eth", "hell\u043e-world.apps.iexec.eth", "hello-world.apps.iexec.ETH", "hello world.apps.iexec.eth", "hello-world..iexec.eth", ".eth"} {
		var failed *node.NameError
		if at, err := request.FindApp(t.Context(), chain, name); !errors.As(err, &failed) || !strings.Contains(failed.Problem, "lower-case letters") {
			t.Errorf("%s: %s, %v", name, at, err)
		}
	}
	var none *request.AppError
	for _, name := range []string{"hello-world.apps.iexec", "hello-world", "./hello-world.apps.iexec.eth"} { // no names, and no files
		if at, err := request.FindApp(t.Context(), chain, name); !errors.As(err, &none) {
			t.Errorf("%s: %s, %v", name, at, err)
		}
	}
}
