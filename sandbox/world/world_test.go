package world_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

func start(t *testing.T, o world.Options) *world.World {
	t.Helper()
	o.Contracts = "../node_modules"
	begun := time.Now()
	w, err := world.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up in %s", time.Since(begun))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Hardhat prints these addresses for its test accounts.
func TestAccounts(t *testing.T) {
	for account, want := range map[int]string{
		0: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", 1: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", 2: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
		3: "0x90F79bf6EB2c4f870365E785982E1f101E93b906", 4: "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65", 5: "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
		6: "0x976EA74026E726554dB657fA54763abd0C3a0aa9", 7: "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955", 8: "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
		9: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
	} {
		if got := crypto.PubkeyToAddress(world.Key(account).PublicKey).Hex(); got != want {
			t.Errorf("account %d: %s, want %s", account, got, want)
		}
	}
}

// mrelease's own checks of a chain are the judge of both, and the accounts can
// pay.
func TestChains(t *testing.T) {
	w := start(t, world.Options{})
	for _, c := range []world.Chain{w.V6, w.V5} {
		if _, err := node.Connect(t.Context(), poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, AppRegistry: c.AppRegistry}); err != nil {
			t.Error(err)
		}
		for account := 1; account < world.Accounts; account++ {
			balance, err := c.Client.BalanceAt(t.Context(), crypto.PubkeyToAddress(world.Key(account).PublicKey), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := new(big.Int).Mul(big.NewInt(10_000), big.NewInt(1e18)); balance.Cmp(want) != 0 {
				t.Errorf("chain %d: account %d has %s, want %s", c.ID, account, balance, want)
			}
		}
	}
}

func TestFilesOpenTheWorld(t *testing.T) {
	base, digest := baseImage(t)
	w := start(t, world.Options{Base: base})
	dir := t.TempDir()
	if err := w.Write(dir); err != nil {
		t.Fatal(err)
	}
	env := environment(t, dir)
	if env["MRELEASE_SANDBOX"] != dir || env["SANDBOX_REGISTRY"] != w.Registry || env["SANDBOX_RPC"] != w.V6.RPC || env["SANDBOX_RPC_V5"] != w.V5.RPC ||
		env["SANDBOX_MARKET"] != w.Market || env["SANDBOX_SECRETS"] != w.Secrets || env["SANDBOX_ADMIN"] != w.Admin {
		t.Errorf("the file env has %v", env)
	}
	wallet, err := node.OpenKeystore(filepath.Join(dir, "wallet.json"), []byte(env["MRELEASE_WALLET_PASSWORD"]))
	if err != nil || wallet.Address != common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8") {
		t.Errorf("the wallet is of %s: %v", wallet.Address, err)
	}
	key, err := signing.LoadKey(read(t, dir, "cosign.key"), []byte(env["COSIGN_PASSWORD"]))
	if err != nil {
		t.Fatal(err)
	}
	if public, err := key.GetPublicKeyPem(); err != nil || strings.TrimSpace(public) != strings.TrimSpace(string(read(t, dir, "cosign.pub"))) {
		t.Errorf("the signing key is not of cosign.pub: %v", err)
	}
	config := string(read(t, dir, "mrelease.yaml"))
	for _, want := range []string{
		"image: " + w.Registry + "/hello-python\n", "chain: sandbox\n", "    id: 134\n", "    fees: legacy\n",
		fmt.Sprintf("    rpc: %s\n    hub: %q\n", w.V6.RPC, w.V6.Hub), fmt.Sprintf("keystore: %q\n", filepath.Join(dir, "wallet.json")),
		fmt.Sprintf("%q: %q\n", "iexechub/python-scone", "oci-layout://"+base+"@"+digest),
	} {
		if !strings.Contains(config, want) {
			t.Errorf("mrelease.yaml lacks %q:\n%s", want, config)
		}
	}
}

// baseImage makes an OCI layout with one image.
func baseImage(t *testing.T) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return dir, hash.String()
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func environment(t *testing.T, dir string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(string(read(t, dir, "env"))) {
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !ok {
			t.Errorf("line %q of env is no assignment", line)
		}
		env[key] = value
	}
	return env
}

// A shell reads the folder's name as it is, whatever is in it.
func TestEnvironmentOfAFolderWithSpaces(t *testing.T) {
	w, dir := start(t, world.Options{}), filepath.Join(t.TempDir(), "it's $HOME; \u00e4")
	if err := w.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), "sh", "-ec", `. "$1/env"; printf '%s %s' "$MRELEASE_SANDBOX" "$SANDBOX_REGISTRY"`, "sh", dir).Output()
	if want := dir + " " + w.Registry; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestBaseImageThatIsNotThere(t *testing.T) {
	_, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Base: filepath.Join(t.TempDir(), "base")})
	if err == nil || !strings.Contains(err.Error(), "make it with: baseimage --out") {
		t.Errorf("got %v, want how to make it", err)
	}
}

// Every service fails as it is told to over HTTP, once.
func TestEveryServiceCanFail(t *testing.T) {
	w := start(t, world.Options{})
	chainID := `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`
	for service, url := range map[string]string{
		"registry": "http://" + w.Registry + "/v2/", "market": w.Market + "/version", "secrets": w.Secrets + "/secrets/web2",
		"rpc": w.V6.RPC, "rpc-v5": w.V5.RPC,
	} {
		method, body := http.MethodGet, ""
		if strings.HasPrefix(service, "rpc") {
			method, body = http.MethodPost, chainID
		}
		rule, err := json.Marshal(fault.Rule{Service: service, Status: http.StatusTeapot})
		if err != nil {
			t.Fatal(err)
		}
		if got := status(t, http.MethodPost, w.Admin+"/fault", string(rule)); got != http.StatusNoContent {
			t.Errorf("adding a fault of %s: %d", service, got)
		}
		if got := status(t, method, url, body); got != http.StatusTeapot {
			t.Errorf("%s: %d, want it to fail with 418", service, got)
		}
		if got := status(t, method, url, body); got == http.StatusTeapot {
			t.Errorf("%s fails a second time", service)
		}
	}
}

func status(t *testing.T, method, url, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A transaction may reach the chain although the answer is lost.
func TestLostAnswer(t *testing.T) {
	w := start(t, world.Options{})
	if err := w.Faults.Add(fault.Rule{Service: "rpc", Match: "eth_blockNumber", Drop: true, After: true}); err != nil {
		t.Fatal(err)
	}
	client, err := ethclient.DialContext(t.Context(), w.V6.RPC)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.ChainID(t.Context()); err != nil {
		t.Errorf("another call: %v", err)
	}
	if _, err := client.BlockNumber(t.Context()); err == nil {
		t.Error("the answer came")
	}
	if _, err := client.BlockNumber(t.Context()); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestCloseFreesEverything(t *testing.T) {
	w := start(t, world.Options{})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"http://" + w.Registry, w.Market, w.Secrets, w.Admin, w.V6.RPC, w.V5.RPC} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
			t.Errorf("%s still listens", url)
		}
	}
}

func TestRegistryTakesImages(t *testing.T) {
	w := start(t, world.Options{})
	reference, err := name.NewTag(w.Registry + "/hello-python:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, img); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Get(reference); err != nil {
		t.Fatal(err)
	}
}
