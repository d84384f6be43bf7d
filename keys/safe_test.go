package keys

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

// A Safe is the owner of releases, whose transactions the payer sends; nothing is signed for
// it, and what needs a signature says so.
func TestSafe(t *testing.T) {
	paying, payer := writeKeystore(t, "")
	safe := common.Address{5}
	r := Ring{
		Wallet: settings.Wallet{Safe: safe, Payer: settings.Payer{Keystore: settings.Path(paying)}},
		Getenv: func(name string) string { return map[string]string{settings.PayerPassword: password}[name] },
	}
	if owner, stated, err := r.Owner(t.Context()); err != nil || owner != safe || stated != "wallet.safe" {
		t.Errorf("%s, as %q states, %v", owner, stated, err)
	}
	wallet, err := r.OpenOwner(t.Context())
	if err != nil || wallet.Address != safe || wallet.Payer().Address != payer {
		t.Errorf("%s is paid for by %s, %v", wallet.Address, wallet.Payer().Address, err)
	}
	if _, err := wallet.SignText(t.Context(), []byte("a record")); err == nil {
		t.Error("something was signed")
	}
	var refused *node.WalletError
	if _, err := r.OpenWallet(t.Context()); !errors.As(err, &refused) || !strings.Contains(refused.Problem, "a contract signs nothing here") {
		t.Errorf("opened: %v", err)
	}
	r.Getenv = func(string) string { return "" }
	if wallet, err := r.OpenOwner(t.Context()); !errors.As(err, &refused) || wallet != (node.Wallet{}) {
		t.Errorf("without the payer's password: %v", err)
	}
	r.Wallet.Payer = settings.Payer{}
	if _, err := r.OpenOwner(t.Context()); !errors.As(err, &refused) || refused.Where != "wallet.payer" {
		t.Errorf("without a payer: %v", err)
	}
}
