//go:build interop

package interop

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/sandbox/clients"
	"github.com/mrelease/mrelease/sandbox/world"
)

// cli is one version of iExec's command line, in a project of its own with the
// wallets of all roles.
type cli struct {
	*stage
	edition
	*clients.IExec
}

// newCLI makes a project. The owner's wallet file is the command line's own,
// which mrelease then opens.
func newCLI(t *testing.T, s *stage, e edition) *cli {
	t.Helper()
	program, err := clients.NewIExec("../clients/node_modules", e.version, t.TempDir())
	must(t, err)
	c := &cli{s, e, program}
	free := c.chain.ID == s.V5.ID
	must(t, c.Init(t.Context(), clients.Chain{
		ID: c.chain.ID, RPC: c.chain.RPC, Hub: c.chain.Hub.Hex(), Market: s.Market, SMS: s.Secrets, Gateway: s.Gateway, Native: free, Free: free,
	}))
	key := hex.EncodeToString(crypto.FromECDSA(world.Key(e.owner)))
	c.call(t, "wallet", "import", "0x"+key, "--keystoredir", "local", "--password", walletPassword)
	writeWallet(t, c.Dir, e.pool())
	writeWallet(t, c.Dir, e.requester())
	return c
}

// writeWallet writes an account's keystore file as the command line names it,
// with the lightest settings that there are.
func writeWallet(t *testing.T, dir string, account int) {
	t.Helper()
	key := world.Key(account)
	at := crypto.PubkeyToAddress(key.PublicKey)
	file, err := keystore.EncryptKey(&keystore.Key{Id: uuid.New(), Address: at, PrivateKey: key}, walletPassword, keystore.LightScryptN, keystore.LightScryptP)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "UTC--2026-01-01T00-00-00.000000000Z--"+at.Hex()[2:]), file, 0o600))
}

// call runs a command that must succeed.
func (c *cli) call(t *testing.T, args ...string) clients.Answer {
	t.Helper()
	answer, err := c.Call(t.Context(), args...)
	must(t, err)
	return answer
}

// as runs a command with an account's wallet.
func (c *cli) as(t *testing.T, account int, args ...string) clients.Answer {
	t.Helper()
	return c.call(t, append(args, c.wallet(account)...)...)
}

// refuses runs a command that must fail, with the words given.
func (c *cli) refuses(t *testing.T, words string, args ...string) {
	t.Helper()
	answer, err := c.Call(t.Context(), args...)
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("iexec %d does not refuse with %q: %v, %v", c.version, words, answer, err)
	}
}

func (c *cli) wallet(account int) []string {
	return append(c.local(account), "--chain", "local")
}

// local are the wallet's options for the init commands, which know no chain.
func (c *cli) local(account int) []string {
	return []string{"--wallet-address", address(account), "--keystoredir", "local", "--password", walletPassword}
}

// part decodes a part of an answer.
func part(t *testing.T, answer clients.Answer, key string, into any) {
	t.Helper()
	must(t, json.Unmarshal([]byte(encode(t, answer[key])), into))
}

// text returns a part of an answer that is text.
func text(t *testing.T, answer clients.Answer, key string) (s string) {
	t.Helper()
	part(t, answer, key, &s)
	return s
}
