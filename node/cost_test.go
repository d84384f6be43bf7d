package node_test

import (
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
)

func TestCoins(t *testing.T) {
	for wei, want := range map[string]string{
		"0": "0", "1": "0.000000000000000001", "1000000000000000000": "1", "1500000000000000000": "1.5",
		"9999992403566777866090": "9999.99240356677786609", "10000000000000000000000": "10000",
	} {
		n, _ := new(big.Int).SetString(wei, 10)
		if got := node.Coins(n); got != want {
			t.Errorf("%s wei = %s, want %s", wei, got, want)
		}
	}
}

// What a keystore file says without its password.
func TestReadKeystore(t *testing.T) {
	const (
		address = "70997970c51812dc3a010c7d01b50e0d17dc79c8"
		opened  = `{"cipherparams":{"iv":"00000000000000000000000000000000"},"kdf":"scrypt","kdfparams":{"n":4096,"r":8,"p":6,"dklen":32,"salt":"00"}}`
	)
	for _, tt := range []struct {
		name, text string
		want       string // address; or the problem, which begins with "the "
	}{
		{"geth's", `{"address":"` + address + `","crypto":` + opened + `,"version":3}`, "0x" + address},
		{"iExec's", `{"address":"` + address + `","Crypto":` + opened + `,"version":3}`, "0x" + address},
		{"without its address", `{"crypto":` + opened + `,"version":3}`, "0x0000000000000000000000000000000000000000"},
		{"of another version", `{"address":"` + address + `","crypto":{},"version":1}`, "the file is no keystore"},
		{"in the clear", `{"privateKey":"0x5de4","address":"` + address + `"}`, "the key in it is not encrypted"},
		{"no JSON", `hello`, "the file is no keystore"},
		{"empty", "\n", "the file is no keystore of version 3: it is empty"},
		{"a raw key", "0x" + strings.Repeat("ab", 32) + "\n", "the key in it is not encrypted"},
	} {
		file := filepath.Join(t.TempDir(), "wallet")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := node.ReadKeystore(file)
		var w *node.WalletError
		switch {
		case strings.HasPrefix(tt.want, "0x"):
			if err != nil || got.Address != common.HexToAddress(tt.want) {
				t.Errorf("%s: %v, %v, want %s", tt.name, got, err, tt.want)
			}
			if got.Memory != 4<<20 {
				t.Errorf("%s: takes %d bytes, want 4 MiB", tt.name, got.Memory)
			}
		case !errors.As(err, &w) || !strings.HasPrefix(w.Problem, tt.want):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case strings.Contains(err.Error(), "5de4"):
			t.Errorf("%s: the error shows the key: %v", tt.name, err)
		}
	}
}
