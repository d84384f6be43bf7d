package release_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// A chain that is misspelt is told from one that nothing describes.
func TestUnknownChainOfAnAddress(t *testing.T) {
	target, err := release.ReadTarget(t.Context(), "0x00000000000000000000000000000000000000aa")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Belecour": "did you mean bellecour?", "134": "the name of that one is bellecour", "ours": "name the file that describes it"} {
		cfg := settings.Defaults()
		cfg.Chain = name
		_, err := new(release.Evidence).Open(t.Context(), cfg, &target, registry.Client{}, true)
		unknown, ok := errors.AsType[*settings.Error](err)
		if !ok || !strings.Contains(err.Error()+unknown.First(), want) || !strings.Contains(unknown.Remedy(), "--chain") {
			t.Errorf("%s: %v, want %q and which chain can be named", name, err, want)
		}
	}
}

// A name that no chain can resolve is told before any node is asked.
func TestTargetWhoseNameIsNone(t *testing.T) {
	for name, chain := range map[string]string{"Hello.eth": "bellecour", "hello.eth": "ours"} {
		target, err := release.ReadTarget(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := settings.Defaults()
		cfg.Chain, cfg.Chains = chain, map[string]settings.Chain{chain: {ID: 134, RPC: []string{"http://127.0.0.1:1"}}}
		_, err = new(release.Evidence).Open(t.Context(), cfg, &target, registry.Client{}, true)
		if failed, ok := errors.AsType[*node.NameError](err); !ok || failed.Name != name {
			t.Errorf("%s on %s: %v", name, chain, err)
		}
	}
}

// What is no hash of a block is told before the file is looked for.
func TestBlockThatIsNone(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for block, isHash := range map[string]bool{"0x" + hash: true, hash: false, "0x" + hash[1:]: false, "0x" + hash + "00": false, "0x" + hash[:63] + "g": false, "12": false} {
		e := release.Evidence{Use: evidence.Use{Bundle: "missing.json", Block: evidence.Block(block)}}
		_, err := e.Target(t.Context(), "")
		if _, refused := errors.AsType[*release.TargetError](err); refused == isHash || err == nil {
			t.Errorf("%s: %v", block, err)
		}
	}
}
