//go:build interop

package interop

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/sandbox/world"
)

// cli is one version of iExec's command line, in a project of its own with the
// wallets of all roles.
type cli struct {
	*stage
	edition
	script string
	dir    string
}

// newCLI makes a project. The owner's wallet file is the command line's own,
// which mrelease then opens.
func newCLI(t *testing.T, s *stage, e edition) *cli {
	t.Helper()
	c := &cli{s, e, script(t, e.version), t.TempDir()}
	c.call(t, "init", "--skip-wallet", "--force")
	c.write(t, "chain.json", map[string]any{"default": "local", "chains": map[string]any{"local": c.settings()}})
	key := hex.EncodeToString(crypto.FromECDSA(world.Key(e.owner)))
	c.call(t, "wallet", "import", "0x"+key, "--keystoredir", "local", "--password", walletPassword)
	writeWallet(t, c.dir, e.pool())
	writeWallet(t, c.dir, e.requester())
	return c
}

// script finds the program of a version, under its alias.
func script(t *testing.T, version int) string {
	t.Helper()
	module, err := filepath.Abs(fmt.Sprintf("../clients/node_modules/iexec-%d", version))
	must(t, err)
	data, err := os.ReadFile(filepath.Join(module, "package.json"))
	must(t, err)
	var manifest struct{ Bin struct{ Iexec string } }
	must(t, json.Unmarshal(data, &manifest))
	return filepath.Join(module, manifest.Bin.Iexec)
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

// settings are those of chain.json; a version refuses keys of another.
func (c *cli) settings() map[string]any {
	native := c.chain.ID == c.V5.ID
	all := map[string]any{
		"id": strconv.FormatUint(c.chain.ID, 10), "host": c.chain.RPC, "hub": c.chain.Hub.Hex(),
		"sms": c.Secrets, "iexecGateway": c.Market, "ipfsGateway": c.Secrets,
	}
	maps.Copy(all, map[int]map[string]any{
		5: {"native": native, "resultProxy": c.Secrets},
		8: {"native": native, "useGas": !native, "resultProxy": c.Secrets, "sms": map[string]string{"scone": c.Secrets, "gramine": c.Secrets, "tdx": c.Secrets}},
		9: {"pocoSubgraph": c.Secrets},
	}[c.version])
	return all
}

func (c *cli) write(t *testing.T, file string, v any) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.dir, file), []byte(encode(t, v)), 0o644))
}

// answer is what the command line prints with --raw.
type answer map[string]any

// ok is what counts: the exit code is 0 for many a failure.
func (a answer) ok() bool { return a["ok"] == true && a["fail"] == nil }

// text returns a part of the answer that is text.
func (a answer) text(t *testing.T, key string) string {
	t.Helper()
	s, ok := a[key].(string)
	if !ok {
		t.Fatalf("no %s in %v", key, a)
	}
	return s
}

// part decodes a part of the answer.
func (a answer) part(t *testing.T, key string, into any) {
	t.Helper()
	must(t, json.Unmarshal([]byte(encode(t, a[key])), into))
}

// call runs a command that must succeed.
func (c *cli) call(t *testing.T, args ...string) answer {
	t.Helper()
	got, text := c.run(t, args)
	if !got.ok() {
		t.Fatalf("iexec %d: %s\n%s", c.version, strings.Join(args, " "), text)
	}
	return got
}

// refuses runs a command that must fail, with the words given.
func (c *cli) refuses(t *testing.T, words string, args ...string) {
	t.Helper()
	got, text := c.run(t, args)
	if got.ok() || !strings.Contains(text, words) {
		t.Errorf("iexec %d does not refuse %s with %q:\n%s", c.version, strings.Join(args, " "), words, text)
	}
}

func (c *cli) run(t *testing.T, args []string) (got answer, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{c.script}, append(args, "--raw")...)...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "HOME="+c.dir)
	var stdout, stderr bytes.Buffer // a failure is told on the second
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	for _, out := range [][]byte{stdout.Bytes(), stderr.Bytes()} {
		if start := bytes.IndexByte(out, '{'); start >= 0 && got == nil {
			_ = json.NewDecoder(bytes.NewReader(out[start:])).Decode(&got) // else it is no answer
		}
	}
	return got, fmt.Sprintf("%v\n%s%s", err, &stdout, &stderr)
}

// as runs a command with an account's wallet.
func (c *cli) as(t *testing.T, account int, args ...string) answer {
	t.Helper()
	return c.call(t, append(args, c.wallet(account)...)...)
}

func (c *cli) wallet(account int) []string {
	return append(c.local(account), "--chain", "local")
}

// local are the wallet's options for the init commands, which know no chain.
func (c *cli) local(account int) []string {
	return []string{"--wallet-address", address(account), "--keystoredir", "local", "--password", walletPassword}
}

// edit changes values of a part of iexec.json.
func (c *cli) edit(t *testing.T, values map[string]any, path ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "iexec.json"))
	must(t, err)
	var project map[string]any
	must(t, json.Unmarshal(data, &project))
	part := project
	for _, key := range path {
		part = part[key].(map[string]any)
	}
	maps.Copy(part, values)
	c.write(t, "iexec.json", project)
}
