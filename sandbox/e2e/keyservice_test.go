package e2e

import (
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/keyservice"
)

// What opens the stand-ins of the clouds' key services.
const (
	kmsSecret   = "kms-secret-key-2b8a"
	kmsSession  = "kms-session-token-77c1"
	kmsIdentity = "kms-workload-identity-0d4e"
)

// keyService has a cloud's key service, or Clef, hold the script's wallet, and names it in
// the environment, in place of the keystore that mrelease.yaml names:
//
//	wallet-in aws       AWS KMS; faults are those of the service kms
//	wallet-in google    Google Cloud KMS, likewise, which is asked at its own address
//	wallet-in clef
func keyService(ts *testscript.TestScript, s *script, args []string) {
	starts := map[string]func() (map[string]string, func(), error){"aws": s.inAWS, "google": s.inGoogle, "clef": s.inClef}
	if len(args) != 1 || starts[args[0]] == nil {
		ts.Fatalf("usage: wallet-in aws|google|clef")
	}
	env, stop, err := starts[args[0]]()
	ts.Check(err)
	ts.Defer(stop)
	for name, value := range env {
		ts.Setenv(name, value)
	}
}

func (s *script) inAWS() (map[string]string, func(), error) {
	a := &keyservice.AWS{
		Region: "eu-west-3", AccessKey: "AKIASANDBOX000000000", Secret: kmsSecret, Session: kmsSession,
		Keys: map[string]*keyservice.Key{"release": keyservice.NewKey(s.key)},
	}
	server := httptest.NewServer(s.world.Faults.Wrap("kms", a))
	host := strings.TrimPrefix(server.URL, "http://")
	return map[string]string{
		"AWS_REGION": a.Region, "AWS_ACCESS_KEY_ID": a.AccessKey, "AWS_SECRET_ACCESS_KEY": kmsSecret, "AWS_SESSION_TOKEN": kmsSession, "AWS_EC2_METADATA_DISABLED": "true",
		"MRELEASE_WALLET_KMS": "awskms://" + host + "/alias/release", "KMS_HOST": host, "KMS_ARN": a.ARN("release"),
	}, server.Close, nil
}

func (s *script) inGoogle() (map[string]string, func(), error) {
	const audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/acme"
	const version = "projects/acme/locations/europe-west9/keyRings/mrelease/cryptoKeys/release/cryptoKeyVersions/1"
	g := &keyservice.Google{Identity: kmsIdentity, Audience: audience, Keys: map[string]*keyservice.Key{version: keyservice.NewKey(s.key)}}
	elsewhere, err := keyservice.NewElsewhere("cloudkms.googleapis.com", s.world.Faults.Wrap("kms", g))
	if err != nil {
		return nil, nil, err
	}
	proxy, exchange := httptest.NewServer(elsewhere), httptest.NewServer(http.HandlerFunc(g.Exchange))
	login, err := json.Marshal(map[string]any{ // as google-github-actions/auth writes it
		"type": "external_account", "audience": audience, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": exchange.URL + "/v1/token", "credential_source": map[string]string{"file": filepath.Join(s.dir, "google.token")},
	})
	for name, text := range map[string]string{"google.json": string(login), "google.token": kmsIdentity, "authority.pem": elsewhere.Authority} {
		err = errors.Join(err, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	return map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": filepath.Join(s.dir, "google.json"), "HTTPS_PROXY": proxy.URL, "SSL_CERT_FILE": filepath.Join(s.dir, "authority.pem"),
		"MRELEASE_WALLET_KMS": "gcpkms://" + version, "KMS_VERSION": version,
	}, func() { proxy.Close(); exchange.Close() }, err
}

// inClef stands in for Clef: it speaks its external API, and approves all of it.
func (s *script) inClef() (map[string]string, func(), error) {
	server := rpc.NewServer()
	if err := server.RegisterName("account", &clefAccount{s}); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "clef") // a socket's path is short
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "clef.ipc")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, nil, err
	}
	go server.ServeListener(listener) // ends with it
	return map[string]string{"MRELEASE_WALLET_CLEF": socket, "MRELEASE_WALLET_ADDRESS": crypto.PubkeyToAddress(s.key.PublicKey).Hex()}, func() {
		_ = listener.Close()
		server.Stop()
		_ = os.RemoveAll(dir)
	}, nil
}

// clefAccount is the API of Clef for one account.
type clefAccount struct{ *script }

func (c *clefAccount) address() common.Address { return crypto.PubkeyToAddress(c.key.PublicKey) }

// List is account_list.
func (c *clefAccount) List() []common.Address { return []common.Address{c.address()} }

func (c *clefAccount) sign(of common.MixedcaseAddress, hash []byte) (hexutil.Bytes, error) {
	if of.Address() != c.address() {
		return nil, errors.New("unknown account")
	}
	signature, err := crypto.Sign(hash, c.key)
	if err == nil {
		signature[crypto.RecoveryIDOffset] += 27
	}
	return signature, err
}

// SignTypedData is account_signTypedData.
func (c *clefAccount) SignTypedData(of common.MixedcaseAddress, data apitypes.TypedData) (hexutil.Bytes, error) {
	hash, _, err := apitypes.TypedDataAndHash(data)
	if err != nil {
		return nil, err
	}
	return c.sign(of, hash)
}

// SignData is account_signData.
func (c *clefAccount) SignData(kind string, of common.MixedcaseAddress, data hexutil.Bytes) (hexutil.Bytes, error) {
	if kind != accounts.MimetypeTextPlain {
		return nil, errors.New("another kind of data")
	}
	return c.sign(of, accounts.TextHash(data))
}

// SignTransaction is account_signTransaction. A person is to be told what is called.
func (c *clefAccount) SignTransaction(args apitypes.SendTxArgs, called *string) (map[string]any, error) {
	chain := new(big.Int).SetUint64(c.world.V6.ID)
	if called == nil || args.From.Address() != c.address() || args.ChainID == nil || args.ChainID.ToInt().Cmp(chain) != 0 {
		return nil, errors.New("another account, another chain, or no call")
	}
	tx, err := args.ToTransaction()
	if err != nil {
		return nil, err
	}
	if tx, err = types.SignTx(tx, types.LatestSignerForChainID(chain), c.key); err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	return map[string]any{"raw": hexutil.Bytes(raw), "tx": tx}, err
}
