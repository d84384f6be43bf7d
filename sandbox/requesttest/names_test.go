package requesttest

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
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
	ens, err := protocol.DeployENS(t.Context(), s.chain.Client, world.Key(6), "../node_modules", map[string]protocol.Name{
		"hello-world.apps.iexec.eth": {At: s.app}, "empty.apps.iexec.eth": {},
	})
	must(t, err)
	chain.ENS = ens.Registry
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
	// Whoever has a name may let it lead to what is no resolver: that is no node's failure.
	for name, resolver := range map[string]common.Address{"empty.apps.iexec.eth": {9}, "hello-world.apps.iexec.eth": s.app} {
		lead(t, s.chain.Client, chain.Chain, name, resolver)
		var failed *node.NameError
		if at, err := request.FindApp(t.Context(), chain, name); !errors.As(err, &failed) || !strings.Contains(failed.Problem, "its resolver "+resolver.Hex()+" has no address for it") {
			t.Errorf("%s: %s, %v", name, at, err)
		}
	}
}

// lead has a name's owner give it another resolver.
func lead(t *testing.T, client *ethclient.Client, chain poco.Chain, name string, resolver common.Address) {
	t.Helper()
	hash, err := poco.NameHash(name)
	must(t, err)
	key := world.Key(6)
	nonce, err := client.NonceAt(t.Context(), crypto.PubkeyToAddress(key.PublicKey), nil)
	must(t, err)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(new(big.Int).SetUint64(chain.ID)), &types.LegacyTx{
		Nonce: nonce, To: &chain.ENS, Gas: 200_000, GasPrice: new(big.Int),
		Data: slices.Concat(crypto.Keccak256([]byte("setResolver(bytes32,address)"))[:4], hash[:], common.BytesToHash(resolver[:]).Bytes()),
	})
	must(t, err)
	must(t, client.SendTransaction(t.Context(), tx))
	receipt, err := protocol.Mined(t.Context(), client, tx.Hash())
	must(t, err)
	if receipt.Status != types.ReceiptStatusSuccessful {
		t.Fatalf("%s keeps its resolver", name)
	}
}
