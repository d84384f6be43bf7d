package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
)

// keystoreText is a keystore file with a key derivation of the caller's.
func keystoreText(kdf, params string) string {
	return `{"version":3,"crypto":{"cipher":"aes-128-ctr","ciphertext":"` + strings.Repeat("ab", 32) + `","cipherparams":{"iv":"` +
		strings.Repeat("00", 16) + `"},"kdf":"` + kdf + `","kdfparams":` + params + `,"mac":"` + strings.Repeat("00", 32) + `"}}`
}

func writeKeystore(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wallet.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each is judged before any work: opening any of them takes gigabytes, hours, or the
// whole program.
func TestAttackKeystore(t *testing.T) {
	scrypt := func(params string) string { return keystoreText("scrypt", params) }
	for name, c := range map[string]struct{ text, want string }{
		"n of 16 GiB":              {scrypt(`{"n":16777216,"r":8,"p":1,"dklen":32,"salt":"00"}`), "memory of scrypt"},
		"n of 1 TiB":               {scrypt(`{"n":1073741824,"r":8,"p":1,"dklen":32,"salt":"00"}`), "memory of scrypt"},
		"n beyond 64 bits":         {scrypt(`{"n":1e300,"r":8,"p":1,"dklen":32,"salt":"00"}`), "n is above"},
		"n below 0":                {scrypt(`{"n":-2,"r":8,"p":1,"dklen":32,"salt":"00"}`), "n: want a whole number"},
		"n as text":                {scrypt(`{"n":"2","r":8,"p":1,"dklen":32,"salt":"00"}`), "n: want a whole number"},
		"n missing":                {scrypt(`{"r":8,"p":1,"dklen":32,"salt":"00"}`), "n: want a whole number"},
		"n twice, in two cases":    {scrypt(`{"n":1073741824,"N":2,"r":8,"p":1,"dklen":32,"salt":"00"}`), "memory of scrypt"},
		"r of 2^28":                {scrypt(`{"n":2,"r":268435456,"p":1,"dklen":32,"salt":"00"}`), "memory of scrypt"},
		"p of 2^20":                {scrypt(`{"n":4096,"r":8,"p":1048576,"dklen":32,"salt":"00"}`), "memory of scrypt"},
		"p of hours":               {scrypt(`{"n":262144,"r":8,"p":4096,"dklen":32,"salt":"00"}`), "work of scrypt"},
		"dklen as text":            {scrypt(`{"n":2,"r":8,"p":1,"dklen":"x","salt":"00"}`), "dklen: want a whole number"},
		"dklen of 1 TiB":           {scrypt(`{"n":2,"r":8,"p":1,"dklen":1099511627776,"salt":"00"}`), "dklen is above"},
		"dklen too short to slice": {scrypt(`{"n":2,"r":8,"p":1,"dklen":8,"salt":"00"}`), "dklen: want a whole number of at least 32"},
		"salt as number":           {scrypt(`{"n":2,"r":8,"p":1,"dklen":32,"salt":0}`), "salt: want a text"},
		"pbkdf2 with c of 2^31":    {keystoreText("pbkdf2", `{"c":2147483648,"prf":"hmac-sha256","dklen":32,"salt":"00"}`), "c is above"},
		"pbkdf2 of many blocks":    {keystoreText("pbkdf2", `{"c":10000000,"prf":"hmac-sha256","dklen":1024,"salt":"00"}`), "c is above"},
		"pbkdf2 without prf":       {keystoreText("pbkdf2", `{"c":1,"dklen":32,"salt":"00"}`), "prf: want a text"},
		"no derivation":            {keystoreText("none", `{"dklen":32,"salt":"00"}`), "kdf: want scrypt or pbkdf2"},
		"a short iv":               {strings.Replace(scrypt(`{"n":2,"r":8,"p":1,"dklen":32,"salt":"00"}`), strings.Repeat("00", 16), "00", 1), "iv: want 32 hex digits"},
		"100 KB":                   {scrypt(`{"salt":"` + strings.Repeat("0", 100<<10) + `"}`), "its size is above the bound of 64 KiB"},
		"deep":                     {scrypt(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)), "its depth is above"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeKeystore(t, c.text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := node.OpenKeystore(file, []byte("password"))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			var wallet *node.WalletError
			if !errors.As(err, &wallet) || !strings.Contains(wallet.Problem, c.want) {
				t.Errorf("got %v, want a *node.WalletError with %q", err, c.want)
			}
			if memory := after.TotalAlloc - before.TotalAlloc; memory > 10<<20 || took > 5*time.Second {
				t.Errorf("it took %s and %d MB", took, memory>>20)
			}
		})
	}
}

// What iExec's command line and geth write is within the bounds, and so is the most
// of each parameter alone.
func TestUsualKeystoresAreWithinTheBounds(t *testing.T) {
	for name, text := range map[string]string{
		"iexec":           keystoreText("scrypt", `{"n":131072,"r":8,"p":1,"dklen":32,"salt":"00"}`),
		"geth":            keystoreText("scrypt", `{"n":262144,"r":8,"p":1,"dklen":32,"salt":"00"}`),
		"geth, light":     keystoreText("scrypt", `{"n":4096,"r":8,"p":6,"dklen":32,"salt":"00"}`),
		"OWASP's PBKDF2":  keystoreText("pbkdf2", `{"c":600000,"prf":"hmac-sha256","dklen":32,"salt":"00"}`),
		"the old Mist's":  keystoreText("pbkdf2", `{"c":262144,"prf":"hmac-sha256","dklen":32,"salt":"00"}`),
		"four times geth": keystoreText("scrypt", `{"n":524288,"r":8,"p":4,"dklen":32,"salt":"00"}`),
	} {
		if _, err := node.ReadKeystore(writeKeystore(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeystoreOpens(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	text, err := keystore.EncryptKey(&keystore.Key{Id: uuid.New(), Address: address, PrivateKey: key}, "password", keystore.LightScryptN, keystore.LightScryptP)
	if err != nil {
		t.Fatal(err)
	}
	file := writeKeystore(t, string(text))
	if wallet, err := node.OpenKeystore(file, []byte("password")); err != nil || wallet.Address != address {
		t.Errorf("got %s, %v, want %s", wallet.Address, err, address)
	}
	var wrong *node.WalletError
	if _, err := node.OpenKeystore(file, []byte("Password")); !errors.As(err, &wrong) || wrong.Problem != "wrong password" {
		t.Errorf("got %v", err)
	}
}

// No file ends the program, nor takes more than the bounds allow; those of a fuzzing
// run are lower, for its speed.
func FuzzReadKeystore(f *testing.F) {
	f.Add(keystoreText("scrypt", `{"n":2,"r":8,"p":1,"dklen":32,"salt":"00"}`))
	f.Add(keystoreText("pbkdf2", `{"c":1,"prf":"hmac-sha256","dklen":32,"salt":"00"}`))
	f.Add(`{"version":3,"Crypto":{},"crypto":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		stated, err := node.ReadKeystore(writeKeystore(t, text))
		if err != nil {
			return
		}
		if stated.Memory > bounds.KeyMemory {
			t.Fatalf("it would take %d bytes", stated.Memory)
		}
		if stated.Memory > 1<<20 || strings.Contains(text, "pbkdf2") {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = stated.Open([]byte("password")) // that it ends is what counts
		}()
		select {
		case <-done:
		case <-ctx.Done():
			t.Fatal("it does not end")
		}
	})
}
