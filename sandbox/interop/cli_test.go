//go:build interop

package interop

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/sandbox/world"
)

// cli is one version of iExec's command line, in a project of its own with the
// wallets of all roles.
type cli struct {
	s       *stage
	version int
	chain   world.Chain
	script  string
	dir     string
}

func newCLI(t *testing.T, s *stage, version int, chain world.Chain) *cli {
	t.Helper()
	c := &cli{s: s, version: version, chain: chain, dir: filepath.Join(s.dir, fmt.Sprintf("iexec-%d-%d", version, chain.ID))}
	must(t, os.MkdirAll(c.dir, 0o755))
	module, err := filepath.Abs(fmt.Sprintf("../clients/node_modules/iexec-%d", version))
	must(t, err)
	var manifest struct{ Bin struct{ Iexec string } }
	data, err := os.ReadFile(filepath.Join(module, "package.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &manifest))
	c.script = filepath.Join(module, manifest.Bin.Iexec)
	c.call(t, "init", "--skip-wallet", "--force")
	c.write(t, "chain.json", map[string]any{"default": "local", "chains": map[string]any{"local": c.settings()}})
	for _, account := range []int{owner, pool, requester} {
		key := hex.EncodeToString(crypto.FromECDSA(world.Key(account)))
		c.call(t, "wallet", "import", "0x"+key, "--keystoredir", "local", "--password", walletPassword)
	}
	return c
}

// settings are those of chain.json, whose keys each version has its own of.
func (c *cli) settings() map[string]any {
	all := map[string]any{
		"id": strconv.FormatUint(c.chain.ID, 10), "host": c.chain.RPC, "hub": c.chain.Hub.Hex(),
		"sms": c.s.Secrets, "iexecGateway": c.s.Market, "ipfsGateway": c.s.Secrets,
	}
	native := c.chain.ID == c.s.V5.ID
	switch {
	case c.version == 9:
		all["pocoSubgraph"] = c.s.Secrets
	case c.version == 8:
		all["native"], all["useGas"], all["resultProxy"] = native, !native, c.s.Secrets
		all["sms"] = map[string]string{"scone": c.s.Secrets, "gramine": c.s.Secrets, "tdx": c.s.Secrets}
	default:
		all["native"], all["resultProxy"] = native, c.s.Secrets
	}
	return all
}

func (c *cli) write(t *testing.T, file string, v any) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.dir, file), []byte(encode(t, v)), 0o644))
}

// answer is what the command line prints with --raw.
type answer map[string]any

// call runs a command that must succeed. It can fail and still exit with 0:
// what counts is what it says.
func (c *cli) call(t *testing.T, args ...string) answer {
	t.Helper()
	got, text := c.run(t, args...)
	if got["ok"] != true || got["fail"] != nil {
		t.Fatalf("iexec %d: %s\n%s", c.version, strings.Join(args, " "), text)
	}
	return got
}

// refuse runs a command that must fail, and returns its words.
func (c *cli) refuse(t *testing.T, args ...string) string {
	t.Helper()
	got, text := c.run(t, args...)
	if got["ok"] == true && got["fail"] == nil {
		t.Fatalf("iexec %d took: %s\n%s", c.version, strings.Join(args, " "), text)
	}
	return text
}

func (c *cli) run(t *testing.T, args ...string) (answer, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{c.script}, append(args, "--raw")...)...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "HOME="+c.dir)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run() // the exit code says little
	text := fmt.Sprintf("%v\n%s%s", err, out.String(), errs.String())
	for _, s := range []string{out.String(), errs.String()} {
		if start := strings.IndexByte(s, '{'); start >= 0 {
			var got answer
			if json.NewDecoder(strings.NewReader(s[start:])).Decode(&got) == nil {
				return got, text
			}
		}
	}
	return answer{}, text
}

// as are the options that say whose wallet signs.
func (c *cli) as(account int) []string {
	return []string{"--wallet-address", address(account), "--keystoredir", "local", "--password", walletPassword, "--chain", "local"}
}

// init are the same for the init commands, which know no chain.
func (c *cli) initAs(account int) []string { return c.as(account)[:6] }

func with(args []string, more ...string) []string {
	return append(append([]string(nil), more...), args...)
}

// edit changes a part of iexec.json.
func (c *cli) edit(t *testing.T, change func(project map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "iexec.json"))
	must(t, err)
	var project map[string]any
	must(t, json.Unmarshal(data, &project))
	change(project)
	c.write(t, "iexec.json", project)
}

// order changes an order of iexec.json.
func (c *cli) order(t *testing.T, kind string, values map[string]any) {
	t.Helper()
	c.edit(t, func(project map[string]any) {
		order := project["order"].(map[string]any)[kind].(map[string]any)
		for key, value := range values {
			order[key] = value
		}
	})
}
