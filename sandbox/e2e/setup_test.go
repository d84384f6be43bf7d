package e2e

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// What nobody may see: mrelease must not print any of these, nor leave it
// anywhere.
const (
	walletPassword   = "wallet-password-4f1c"
	cosignPassword   = "cosign-password-9b3e"
	buildSecret      = "build-secret-c7d2"
	apiKey           = "api-key-51aa"
	registryPassword = "registry-password-e08d"
)

// script is a script's own part of a slot.
type script struct {
	*slot
	name       string // of the script and its image's repository
	key        *ecdsa.PrivateKey
	dir        string
	repository string
	strange    *atomic.Int64 // writes to the script's own registry, if it has one
	safe       protocol.Safe // that owns its apps, if there is one
}

func (s *script) secrets() []string {
	return []string{walletPassword, cosignPassword, buildSecret, apiKey, registryPassword, kmsSecret, kmsSession, kmsIdentity, hex.EncodeToString(crypto.FromECDSA(s.key))}
}

// setUp fills a script's folder: a Dockerfile and the program of its image, a
// mrelease.yaml that names the slot's world, and the keys. What the script
// brings along stays as it is.
func setUp(env *testscript.Env, t tools, of *slot) error {
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	key := walletOf(name)
	s := &script{slot: of, name: name, key: key, dir: env.WorkDir, repository: of.world.Registry + "/" + name}
	env.Values[scriptKey{}] = s
	env.Values[daemonsKey{}] = new([]*daemon)
	if _, err := os.Stat(filepath.Join(s.dir, "poor")); err != nil {
		if err := fund(of.world, key); err != nil {
			return err
		}
	}
	if err := s.writeFiles(t); err != nil {
		return err
	}
	results, err := filepath.Abs("../../request/result/testdata")
	if err != nil {
		return err
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	for name, value := range map[string]string{
		"HOME": env.WorkDir, "DOCKER_CONFIG": env.WorkDir, "PATH": t.dir + ":" + os.Getenv("PATH"),
		"MRELEASE_STATE": of.state, "MRELEASE_WALLET_PASSWORD": walletPassword, "COSIGN_PASSWORD": cosignPassword,
		"SOURCE_DATE_EPOCH": "1700000000", "MRELEASE_COMMIT": strings.Repeat("c0", 20), "LICENSE": buildSecret,
		"NAME": s.name, "REPOSITORY": s.repository, "REGISTRY": of.world.Registry, "GATEWAY": of.world.Gateway, "PRIVATE": of.private, "EXAMPLES": t.examples, "BASE": t.base, "RESULTS": results,
		"OWNER": address.Hex(), "ADDRESS": hex.EncodeToString(address[:]), "RAW_KEY": hex.EncodeToString(crypto.FromECDSA(key)),
		"WALLET_PASSWORD": walletPassword, "SIGN_PASSWORD": cosignPassword, "REGISTRY_PASSWORD": registryPassword,
		"HUB": of.world.V6.Hub.Hex(), "APPS": of.world.V6.AppRegistry.Hex(), "OTHER_RPC": of.other, "RPC_HOST": strings.TrimPrefix(of.world.V6.RPC, "http://"),
		"STRANGER": stranger, "STRANGER_IN_JSON": inJSON(stranger),
		"NO_REFERRERS": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`,
	} {
		env.Setenv(name, value)
	}
	for how, image := range t.scanners {
		env.Setenv("SCANNER_"+strings.ToUpper(how), image)
	}
	return nil
}

type scriptKey struct{}

// walletOf derives a script's wallet from its name: the same in each run.
func walletOf(name string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("mrelease e2e " + name)))
	if err != nil {
		panic(err) // with a probability of 2^-128
	}
	return key
}

// fund gives a wallet a coin of the chain with fees. A script that has a file
// poor begins without one.
func fund(w *world.World, key *ecdsa.PrivateKey) error {
	ctx := context.Background()
	from := world.Key(0)
	nonce, err := w.V6.Client.PendingNonceAt(ctx, crypto.PubkeyToAddress(from.PublicKey))
	if err != nil {
		return err
	}
	to := crypto.PubkeyToAddress(key.PublicKey)
	tx, err := types.SignNewTx(from, types.LatestSignerForChainID(new(big.Int).SetUint64(w.V6.ID)), &types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(w.V6.ID), Nonce: nonce, To: &to, Value: big.NewInt(1e18), Gas: 21_000, GasFeeCap: big.NewInt(1e11), GasTipCap: big.NewInt(1e9),
	})
	if err != nil {
		return err
	}
	if err := w.V6.Client.SendTransaction(ctx, tx); err != nil {
		return err
	}
	_, err = protocol.Mined(ctx, w.V6.Client, tx.Hash())
	return err
}

func (s *script) writeFiles(t tools) error {
	wallet, err := keystoreFile(s.key)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"app": t.app, "Dockerfile": dockerfile, ".dockerignore": "*\n!app\n!greeting.txt\n", "greeting.txt": "hello\n",
		"wallet.json": wallet, "cosign.key": t.key.private, "cosign.pub": t.key.public, "other.key": t.key.otherPrivate, "other.pub": t.key.otherPublic,
		"world.yaml": s.config(),
	} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	return s.completeConfig()
}

// dockerfile is that of an image whose program behaves as the arguments say.
const dockerfile = `FROM scratch
ARG MODE=hash
ARG SEAL=fixed
ENV MODE=$MODE SCONE_HEAP=1073741824
COPY app /app
COPY greeting.txt /greeting.txt
RUN --mount=type=secret,id=license ["/app", "seal"]
ENTRYPOINT ["/app"]
`

// config names the world. The RPC URLs hold an API key in both places in which
// providers put it.
func (s *script) config() string {
	rpc := func(url string) string {
		return strings.Replace(url, "://", "://user:"+apiKey+"@", 1) + "/v3/" + apiKey
	}
	var b strings.Builder
	fmt.Fprintf(&b, "image: %s\nchain: sandbox\nsign: {key: cosign.key}\nwallet: {keystore: wallet.json}\nenclave: {trust: stated}\nchains:\n", s.repository)
	for _, c := range []world.Chain{s.world.V6, s.world.V5} {
		fmt.Fprintf(&b, "  %s: {id: %d, rpc: %q, hub: %q, market: %q, sms: %q, gateway: %q, fees: %s, development: true}\n", c.Name, c.ID, rpc(c.RPC), c.Hub, s.world.Market, s.world.Secrets+"/?key="+apiKey, s.world.Gateway, c.Fees)
	}
	return b.String()
}

// completeConfig adds to mrelease.yaml the keys that the script's own does not
// have.
func (s *script) completeConfig() error {
	path := filepath.Join(s.dir, "mrelease.yaml")
	own, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text := string(own)
	for _, part := range topLevel.FindAllString(s.config(), -1) {
		key, _, _ := strings.Cut(part, ":")
		if !strings.Contains("\n"+text, "\n"+key+":") {
			text += part
		}
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// topLevel matches a key at the beginning of a line and what belongs to it.
var topLevel = regexp.MustCompile(`(?m)^\w+:.*\n(?:[ ].*\n)*`)

func keystoreFile(key *ecdsa.PrivateKey) (string, error) {
	file, err := keystore.EncryptKey(&keystore.Key{
		Id: uuid.New(), Address: crypto.PubkeyToAddress(key.PublicKey), PrivateKey: key,
	}, walletPassword, keystore.LightScryptN, keystore.LightScryptP)
	return string(file), err
}

// signingKeys are two key pairs of cosign.
type signingKeys struct{ private, public, otherPrivate, otherPublic string }

func makeSigningKeys() (signingKeys, error) {
	password := func(bool) ([]byte, error) { return []byte(cosignPassword), nil }
	key, err := cosign.GenerateKeyPair(password)
	if err != nil {
		return signingKeys{}, err
	}
	other, err := cosign.GenerateKeyPair(password)
	if err != nil {
		return signingKeys{}, err
	}
	return signingKeys{string(key.PrivateBytes), string(key.PublicBytes), string(other.PrivateBytes), string(other.PublicBytes)}, nil
}
