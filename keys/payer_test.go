package keys

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

// The payer is named and opened as the owner is, by variables of its own.
func TestPayer(t *testing.T) {
	path, owner := writeKeystore(t, "")
	paying, payer := writeKeystore(t, "")
	both := func(p settings.Payer, secrets map[string]string) Ring {
		r := ring(path, common.Address{})
		r.Wallet.Payer = p
		r.Getenv = func(name string) string { return secrets[name] }
		return r
	}
	named := settings.Payer{Keystore: settings.Path(paying), Address: payer}
	good := both(named, map[string]string{WalletPassword: password, settings.PayerPassword: password})
	wallet, err := good.OpenWallet(t.Context())
	if err != nil || wallet.Address != owner || wallet.Payer().Address != payer {
		t.Errorf("%s is paid for by %s, %v", wallet.Address, wallet.Payer().Address, err)
	}
	if address, err := good.PayerAddress(t.Context()); err != nil || address != payer {
		t.Errorf("payer %s, %v", address, err)
	}
	if address, err := ring(path, common.Address{}).PayerAddress(t.Context()); err != nil || address != (common.Address{}) {
		t.Errorf("nobody is named, and pays: %s, %v", address, err)
	}

	const raw = "1111111111111111111111111111111111111111111111111111111111111111"
	byKey := both(settings.Payer{AllowRawKey: true}, map[string]string{WalletPassword: password, settings.PayerKey: raw})
	if wallet, err := byKey.OpenWallet(t.Context()); err != nil || wallet.Payer().Address == owner {
		t.Errorf("by a raw key: %s, %v", wallet.Payer().Address, err)
	}
	itself := both(settings.Payer{Keystore: settings.Path(path)}, map[string]string{WalletPassword: password, settings.PayerPassword: password})
	if wallet, err := itself.OpenWallet(t.Context()); err != nil || wallet.Payer().Address != owner {
		t.Errorf("the owner pays: %s, %v", wallet.Payer().Address, err)
	}

	for want, r := range map[string]Ring{
		settings.PayerPassword + " is not set":               both(named, map[string]string{WalletPassword: password}),
		"the password in " + settings.PayerPassword:          both(named, map[string]string{WalletPassword: password, settings.PayerPassword: "wrong"}),
		"but wallet.payer.address is":                        both(settings.Payer{Keystore: settings.Path(paying), Address: owner}, map[string]string{WalletPassword: password, settings.PayerPassword: password}),
		"a raw key is refused unless wallet.payer.allow-raw": both(named, map[string]string{WalletPassword: password, settings.PayerKey: raw}),
		settings.PayerKey + " is not set":                    both(settings.Payer{AllowRawKey: true}, map[string]string{WalletPassword: password}),
		"wallet.payer.address must say":                      both(settings.Payer{Clef: "/nowhere/clef.ipc"}, map[string]string{WalletPassword: password}),
	} {
		var refused *node.WalletError
		if wallet, err := r.OpenWallet(t.Context()); !errors.As(err, &refused) || !strings.Contains(refused.Problem, want) || wallet != (node.Wallet{}) {
			t.Errorf("got %v, want a problem with %q", err, want)
		}
	}
}
