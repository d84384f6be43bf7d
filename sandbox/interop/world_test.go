//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
)

// What the wallets and the signing key are locked with.
const (
	walletPassword = "wallet"
	cosignPassword = "cosign"
)

// The roles of a deal, by the account that plays them.
const (
	owner     = 1
	pool      = 2
	requester = 3
)

func address(account int) string {
	return crypto.PubkeyToAddress(world.Key(account).PublicKey).Hex()
}

// stage is a world with a folder to work in.
type stage struct {
	*world.World
	dir string
	bin string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules"})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	bin, err := filepath.Abs("../../bin")
	must(t, err)
	s := &stage{w, t.TempDir(), bin}
	s.writeImage(t)
	s.run(t, program{name: filepath.Join(bin, "cosign"), args: []string{"generate-key-pair"}, env: []string{"COSIGN_PASSWORD=" + cosignPassword}})
	return s
}

// writeImage makes the source of a small image: one static program.
func (s *stage) writeImage(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(s.dir, "context"), 0o755))
	s.run(t, program{
		name: "go", args: []string{"build", "-o", filepath.Join(s.dir, "context", "app"), "../e2e/testdata/app"},
		env: []string{"CGO_ENABLED=0"}, dir: ".",
	})
	dockerfile := "FROM scratch\nENV MODE=hash SCONE_HEAP=1073741824\nCOPY app /app\nARG SEAL=fixed\nRUN [\"/app\", \"seal\"]\nENTRYPOINT [\"/app\"]\n"
	must(t, os.WriteFile(filepath.Join(s.dir, "context", "Dockerfile"), []byte(dockerfile), 0o644))
}

// program is a run of a program.
type program struct {
	name  string
	args  []string
	env   []string
	dir   string // the stage's when empty
	fails bool   // it must end with an error, whatever its exit code
}

// run returns what a program printed on both outputs.
func (s *stage) run(t *testing.T, p program) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.name, p.args...)
	cmd.Dir = p.dir
	if cmd.Dir == "" {
		cmd.Dir = s.dir
	}
	cmd.Env = append(os.Environ(), p.env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); (err != nil) != p.fails {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(p.name), strings.Join(p.args, " "), err, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// release is what mrelease is asked to release.
type release struct {
	name     string // of the app and its repository
	chain    world.Chain
	enclave  string // the keys below enclave
	tag      string
	keystore string // folder
}

func (s *stage) config(r release) string {
	c := r.chain
	return fmt.Sprintf(`image: %s/%s
build: {context: context}
enclave: {%s}
order: {tag: %q}
sign: {key: cosign.key}
wallet: {keystore: %q, address: %q}
chain: %s
chains:
  %s: {id: %d, rpc: %q, hub: %q, market: %q, fees: %s, development: true}
`, s.Registry, r.name, r.enclave, r.tag, r.keystore, address(owner), c.Name, c.Name, c.ID, c.RPC, c.Hub, s.Market, c.Fees)
}

// mrelease runs it with the configuration of a release.
func (s *stage) mrelease(t *testing.T, r release, args ...string) (stdout, stderr string) {
	t.Helper()
	file := r.name + ".yaml"
	must(t, os.WriteFile(filepath.Join(s.dir, file), []byte(s.config(r)), 0o600))
	return s.run(t, program{
		name: filepath.Join(s.bin, "mrelease"), args: append(args, "--config", file),
		env: []string{
			"SOURCE_DATE_EPOCH=1700000000", "MRELEASE_STATE=" + filepath.Join(s.dir, "state"), "MRELEASE_RECORD=" + r.name + ".json",
			"MRELEASE_WALLET_PASSWORD=" + walletPassword, "COSIGN_PASSWORD=" + cosignPassword,
		},
	})
}

// release releases, and returns the record.
func (s *stage) release(t *testing.T, r release) record.Record {
	t.Helper()
	s.mrelease(t, r, "release", "--version", "1.0.0", "--progress", "quiet")
	rec, err := record.ReadFile(filepath.Join(s.dir, r.name+".json"))
	must(t, err)
	return rec
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	return string(data)
}
