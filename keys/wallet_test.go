package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

const password = "wallet-password-4f1c"

// writeKeystore writes the keystore of a new key, which states an address of choice.
func writeKeystore(t *testing.T, stated string) (path string, owner common.Address) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	owner = crypto.PubkeyToAddress(key.PublicKey)
	file, err := keystore.EncryptKey(&keystore.Key{Id: uuid.New(), Address: owner, PrivateKey: key}, password, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	own := strings.ToLower(strings.TrimPrefix(owner.Hex(), "0x"))
	if !strings.Contains(string(file), own) {
		t.Fatalf("the keystore does not state %s", own)
	}
	path = filepath.Join(t.TempDir(), "wallet.json")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(file), own, stated)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, owner
}

func ring(path string, named common.Address) Ring {
	return Ring{
		Wallet: settings.Wallet{Keystore: settings.Path(path), Address: named},
		Getenv: func(name string) string { return map[string]string{WalletPassword: password}[name] },
	}
}

// A file that states the address of somebody else, and one that the configuration says
// is somebody else's, are refused as soon as that can be seen.
func TestAttackStatedAddress(t *testing.T) {
	victim := "70997970c51812dc3a010c7d01b50e0d17dc79c8"
	path, owner := writeKeystore(t, victim)
	if stated, by, err := ring(path, common.Address{}).Owner(t.Context()); err != nil || stated != common.HexToAddress(victim) || by != path {
		t.Errorf("stated %s by %q, %v; want it to be marked as the file's word", stated, by, err)
	}
	refuse(t, path, common.Address{}, "is that of "+owner.Hex()+", but the file states "+common.HexToAddress(victim).Hex())

	path, owner = writeKeystore(t, "")
	if opened, by, err := ring(path, common.Address{}).Owner(t.Context()); err != nil || opened != owner || by != "" {
		t.Errorf("opened %s by %q, %v", opened, by, err)
	}
	refuse(t, path, common.HexToAddress(victim), "but wallet.address is")

	path, owner = writeKeystore(t, victim)
	refuse(t, path, owner, "the file states")
	if _, _, err := ring(path, owner).Owner(t.Context()); err == nil {
		t.Error("a file that states another address than wallet.address has an owner")
	}
}

func refuse(t *testing.T, path string, named common.Address, want string) {
	t.Helper()
	wallet, err := ring(path, named).OpenWallet(t.Context())
	var we *node.WalletError
	if !errors.As(err, &we) || !strings.Contains(we.Problem, want) || wallet != (node.Wallet{}) {
		t.Errorf("%v, want an error with %q", err, want)
	}
}

func TestHonestWallet(t *testing.T) {
	path, owner := writeKeystore(t, "")
	for _, named := range []common.Address{{}, owner} {
		if wallet, err := ring(path, named).OpenWallet(t.Context()); err != nil || wallet.Address != owner {
			t.Errorf("%s, %v", wallet.Address, err)
		}
	}
}
