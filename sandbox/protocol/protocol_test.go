package protocol_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	publish "github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/chain"
	"github.com/mrelease/mrelease/sandbox/protocol"
)

// The addresses are those that a public deployment with Hardhat's first test
// key gives; mrelease's own check of a chain is the judge of the rest.
func TestDeploy(t *testing.T) {
	key, err := crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		id            uint64
		free          bool
		deploy        string
		hub, registry string
	}{
		"v6":        {65535, false, "v6", "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707", "0x9E545E3C0baAB3E08CdfD552C960A1050f373042"},
		"v5 native": {134, true, "v5", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", "0x1613beB3B2C4f22Ee086B2b38C1476A3cE7f78E8"},
	} {
		t.Run(name, func(t *testing.T) {
			balance := new(big.Int).Lsh(big.NewInt(1), 80)
			c, err := chain.Start(chain.Options{ID: tt.id, Free: tt.free, Alloc: types.GenesisAlloc{crypto.PubkeyToAddress(key.PublicKey): {Balance: balance}}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			start := time.Now()
			deploy := protocol.DeployV6
			if tt.deploy == "v5" {
				deploy = protocol.DeployV5
			}
			d, err := deploy(t.Context(), c.Client(), key, "../node_modules")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("deployed in %s", time.Since(start))
			if d.Hub.Hex() != tt.hub || d.AppRegistry.Hex() != tt.registry {
				t.Errorf("hub %s and app registry %s, want %s and %s", d.Hub, d.AppRegistry, tt.hub, tt.registry)
			}
			if _, err := publish.Connect(t.Context(), poco.Chain{ID: tt.id, RPC: c.URL(), Hub: common.HexToAddress(tt.hub), AppRegistry: d.AppRegistry}); err != nil {
				t.Error(err)
			}
		})
	}
}
