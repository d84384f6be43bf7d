package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

// Whose wallet Clef has is a setting: nobody is asked for it. A second wallet beside it is
// none that is chosen from.
func TestClef(t *testing.T) {
	account := common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
	of := func(w settings.Wallet, raw string) keys.Ring {
		return keys.Ring{Wallet: w, Getenv: func(name string) string {
			if name == keys.WalletKey {
				return raw
			}
			return ""
		}}
	}
	good := of(settings.Wallet{Clef: "/nowhere/clef.ipc", Address: account}, "")
	owner, stated, err := good.Owner(t.Context())
	if err != nil || owner != account || stated != "wallet.address, for Clef at /nowhere/clef.ipc," {
		t.Errorf("%s by %q, %v", owner, stated, err)
	}
	var unreachable *node.SignerError
	if _, err := good.OpenWallet(t.Context()); !errors.As(err, &unreachable) || !strings.Contains(unreachable.Problem, "cannot be reached") {
		t.Errorf("got %v", err)
	}
	for want, r := range map[string]keys.Ring{
		"stands beside wallet.keystore": of(settings.Wallet{Clef: "/nowhere/clef.ipc", Address: account, Keystore: "wallet.json"}, ""),
		"wallet.address must say":       of(settings.Wallet{Clef: "/nowhere/clef.ipc"}, ""),
		"a raw key is refused":          of(settings.Wallet{Clef: "/nowhere/clef.ipc", Address: account}, strings.Repeat("11", 32)),
	} {
		var refused *node.WalletError
		if _, err := r.OpenWallet(t.Context()); !errors.As(err, &refused) || !strings.Contains(refused.Problem, want) {
			t.Errorf("got %v, want a problem with %q", err, want)
		}
		if _, _, err := r.Owner(t.Context()); !errors.As(err, &refused) {
			t.Errorf("owner: got %v, want a problem with %q", err, want)
		}
	}
}
