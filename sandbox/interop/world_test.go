//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
)

// What the wallets and the signing keys are locked with.
const (
	walletPassword = "wallet"
	cosignPassword = "cosign"
)

func address(account int) string {
	return crypto.PubkeyToAddress(world.Key(account).PublicKey).Hex()
}

// stage is a world, and a folder with the source of an image and the key pair
// that cosign made.
type stage struct {
	*world.World
	dir     string
	bin     string
	scanner string   // of attest.sbom; empty for none
	vex     string   // file of attest.vex; empty for none
	keyIn   []string // variables of the service that has the key that signs; none: it is cosign.key
	lines   sync.Map // of a line of apps, the folder that releases it
}

// line is what a release retires the older orders of: the apps of an owner with a name.
type line struct {
	chain, name string
	owner       int
}

// claim ends the test when another's releases would retire the orders of this one's.
func (s *stage) claim(t *testing.T, r release, args []string) {
	t.Helper()
	app := r.name
	if i := slices.Index(args, "--image"); i >= 0 {
		app = path.Base(args[i+1])
	}
	if other, taken := s.lines.LoadOrStore(line{chain: r.chain.Name, name: app, owner: r.owner}, r.dir); taken && other != r.dir {
		t.Fatalf("account %d releases %s on %s in two folders", r.owner, app, r.chain.Name)
	}
}

func newStage(t *testing.T, pool *world.Pool) *stage {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: pool})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	bin, err := filepath.Abs("../../bin")
	must(t, err)
	s := &stage{World: w, dir: t.TempDir(), bin: bin}
	s.writeSource(t)
	s.cosign(t, "generate-key-pair")
	return s
}

// writeSource makes the source of a small image: one static program.
func (s *stage) writeSource(t *testing.T) {
	t.Helper()
	context := filepath.Join(s.dir, "context")
	must(t, os.Mkdir(context, 0o755))
	program{name: "go", args: []string{"build", "-o", filepath.Join(context, "app"), "../e2e/testdata/app"}, env: []string{"CGO_ENABLED=0"}, dir: "."}.run(t)
	dockerfile := "FROM scratch\nENV MODE=hash SCONE_HEAP=1073741824\nCOPY app /app\nARG SEAL=fixed\nRUN [\"/app\", \"seal\"]\nENTRYPOINT [\"/app\"]\n"
	must(t, os.WriteFile(filepath.Join(context, "Dockerfile"), []byte(dockerfile), 0o644))
}

// program is a run of a program.
type program struct {
	name  string
	args  []string
	env   []string
	dir   string
	fails bool // it must end with an error
}

// run returns what the program printed on both outputs.
func (p program) run(t *testing.T) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.name, p.args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); (err != nil) != p.fails {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(p.name), strings.Join(p.args, " "), err, &out, &errs)
	}
	return out.String(), errs.String()
}

// release is what mrelease is asked to release, and where it runs.
type release struct {
	name         string // of the app and its repository
	chain        world.Chain
	enclave, tag string // of the configuration
	owner        int
	dir          string // the owner's wallet is in it
	project      string // a folder of iExec's command line to keep up to date, or empty
}

func (s *stage) config(r release) string {
	c := r.chain
	return fmt.Sprintf(`image: %s/%s
build: {context: %q}
enclave: {trust: stated, %s}
order: {tag: %q}
sign: {key: %q}
attest: {sbom: %q, vex: %q}
wallet: {keystore: %q, address: %q}
app-secret: {env: APP_SECRET}
chain: %s
chains:
  %s: {id: %d, rpc: %q, hub: %q, market: %q, sms: %q, fees: %s, development: true}
record: %s.json
project: %q
`, s.Registry, r.name, filepath.Join(s.dir, "context"), r.enclave, r.tag, filepath.Join(s.dir, "cosign.key"), s.scanner, s.vex, r.dir, address(r.owner),
		c.Name, c.Name, c.ID, c.RPC, c.Hub, s.Market, s.Secrets, c.Fees, r.name, r.project)
}

// mrelease runs it with the configuration of a release.
func (s *stage) mrelease(t *testing.T, r release, args ...string) (stdout, stderr string) {
	t.Helper()
	return s.mreleaseRun(t, r, args...).run(t)
}

func (s *stage) mreleaseRun(t *testing.T, r release, args ...string) program {
	t.Helper()
	s.claim(t, r, args)
	file := r.name + ".yaml"
	must(t, os.WriteFile(filepath.Join(r.dir, file), []byte(s.config(r)), 0o600))
	return program{
		name: filepath.Join(s.bin, "mrelease"), args: append(args, "--config", file), dir: r.dir,
		env: append([]string{
			"SOURCE_DATE_EPOCH=1700000000", "MRELEASE_COMMIT=" + strings.Repeat("c0", 20), "MRELEASE_STATE=" + filepath.Join(r.dir, "state"),
			"MRELEASE_WALLET_PASSWORD=" + walletPassword, "COSIGN_PASSWORD=" + cosignPassword, "APP_SECRET=of the app", "DOCKER_CONFIG=" + r.dir,
		}, s.keyIn...),
	}
}

// release releases, and returns the record.
func (s *stage) release(t *testing.T, r release) record.Record {
	t.Helper()
	s.mrelease(t, r, "release", "--version", "1.0.0", "--progress", "quiet")
	rec, err := record.ReadFile(filepath.Join(r.dir, r.name+".json"))
	must(t, err)
	return rec
}

// cosign runs cosign's own command line beside its key pair.
func (s *stage) cosign(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr := s.cosignRun(args).run(t)
	return stdout + stderr
}

func (s *stage) cosignRun(args []string) program {
	return program{name: filepath.Join(s.bin, "cosign"), args: args, dir: s.dir, env: append([]string{"COSIGN_PASSWORD=" + cosignPassword}, s.keyIn...)}
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
