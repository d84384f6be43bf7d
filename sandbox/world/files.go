package world

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/uuid"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Passwords of the keys that are written. The keys are worth nothing.
const (
	walletPassword = "sandbox-wallet"
	cosignPassword = "sandbox-cosign"
)

// Write writes what a user of the world needs into a folder: mrelease.yaml,
// the keys it names, and last of all the file env, whose presence says that the
// world is up.
func (w *World) Write(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("finding folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	if err := errors.Join(writeSigningKey(dir), w.writeWallet(dir), w.writeSigstore(dir), write(dir, "mrelease.yaml", w.config(dir))); err != nil {
		return err
	}
	env, err := w.env(dir)
	if err != nil {
		return err
	}
	return write(dir, "env", env)
}

// The job that an identity is given to.
const (
	repository = "acme/enclave"
	ref        = "refs/tags/v1.0.0"
)

// writeSigstore writes what keyless signing and its verification need: which services to
// ask, with either version of Rekor or none, what to trust.
func (w *World) writeSigstore(dir string) error {
	trusted, err := w.Sigstore.TrustedRoot()
	if err != nil {
		return err
	}
	if err := write(dir, "trusted-root.json", string(trusted)); err != nil {
		return err
	}
	for version, name := range []string{"signing-config-nolog.json", "signing-config.json", "signing-config-v2.json"} {
		config, err := w.Sigstore.SigningConfig(uint32(version))
		if err != nil {
			return err
		}
		if err := write(dir, name, string(config)); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file appear whole, for those who wait for it.
func write(dir, name, text string) error {
	path := filepath.Join(dir, name)
	err := os.WriteFile(path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// Environment returns what the commands of a script need to know, as
// NAME=value.
func (w *World) Environment(dir string) ([]string, error) {
	identity, err := w.Sigstore.Environment(repository, ref)
	lines := []string{
		"MRELEASE_SANDBOX=" + dir,
		"MRELEASE_WALLET_PASSWORD=" + walletPassword,
		"COSIGN_PASSWORD=" + cosignPassword,
		"SANDBOX_REGISTRY=" + w.Registry,
		"SANDBOX_RPC=" + w.V6.RPC,
		"SANDBOX_RPC_V5=" + w.V5.RPC,
		"SANDBOX_MARKET=" + w.Market,
		"SANDBOX_SECRETS=" + w.Secrets,
		"SANDBOX_GATEWAY=" + w.Gateway,
		"SANDBOX_ADMIN=" + w.Admin,
	}
	for _, name := range slices.Sorted(maps.Keys(identity)) {
		lines = append(lines, name+"="+identity[name])
	}
	if w.V6.Workerpool == nil {
		return lines, err
	}
	return append(lines,
		"SANDBOX_WORKERPOOL="+w.V6.Workerpool.Address.Hex(),
		"SANDBOX_WORKERPOOL_V5="+w.V5.Workerpool.Address.Hex(),
		"SANDBOX_SHORT_CATEGORY="+strconv.FormatUint(w.V6.Workerpool.Short, 10)), err // the same on both chains
}

// env is the environment for a shell.
func (w *World) env(dir string) (string, error) {
	lines, err := w.Environment(dir)
	var text strings.Builder
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		text.WriteString("export " + name + "=" + quoted(value) + "\n")
	}
	return text.String(), err
}

// quoted is a value as a shell reads it. One that means the same without quotes has none,
// for those who read the file by other means.
func quoted(value string) string {
	if !strings.ContainsAny(value, " \t'\"\\$`&|;<>()*") {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// writeSigningKey writes a key pair as cosign generate-key-pair does. cosign's own
// function for it would bring fifty packages along, which a first build compiles.
func writeSigningKey(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making signing key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding signing key: %w", err)
	}
	sealed, err := encrypted.Encrypt(private, []byte(cosignPassword))
	if err != nil {
		return fmt.Errorf("encrypting signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encoding public key: %w", err)
	}
	return errors.Join(
		write(dir, "cosign.key", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}))),
		write(dir, "cosign.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))))
}

// writeWallet encrypts the wallet with the lightest settings that keystores have.
func (w *World) writeWallet(dir string) error {
	key := w.Wallet()
	file, err := keystore.EncryptKey(&keystore.Key{
		Id: uuid.New(), Address: crypto.PubkeyToAddress(key.PublicKey), PrivateKey: key,
	}, walletPassword, keystore.LightScryptN, keystore.LightScryptP)
	if err != nil {
		return fmt.Errorf("encrypting wallet: %w", err)
	}
	return write(dir, "wallet.json", string(file))
}

// config is a part of mrelease.yaml that names the world; an example's own file
// is read before it.
func (w *World) config(dir string) string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("# Written by the sandbox; it holds as long as that runs.")
	line("image: %s/hello-python", w.Registry)
	line("chain: %s", w.V6.Name)
	line("chains:")
	for _, c := range []Chain{w.V6, w.V5} {
		line("  %s:\n    id: %d\n    rpc: %s\n    hub: %q\n    market: %s\n    sms: %s\n    gateway: %s\n    fees: %s\n    development: true", c.Name, c.ID, c.RPC, c.Hub, w.Market, w.Secrets, w.Gateway, c.Fees)
	}
	line("sign:\n  key: %q", filepath.Join(dir, "cosign.key"))
	line("wallet:\n  keystore: %q", filepath.Join(dir, "wallet.json"))
	if w.base != "" {
		line("build:\n  contexts:")
		for _, name := range baseNames() {
			line("    %q: %q", name, w.base)
		}
		line("enclave:\n  toolchain: %q", w.base)
	}
	return text.String()
}

// baseReference names the stand-in base image, which holds the stand-in
// toolchain too, as mrelease.yaml does; nothing without one.
func baseReference(base string) (string, error) {
	if base == "" {
		return "", nil
	}
	path, err := filepath.Abs(base)
	if err != nil {
		return "", fmt.Errorf("finding base image: %w", err)
	}
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return "", fmt.Errorf("reading base image (make it with: baseimage --out %s): %w", base, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", fmt.Errorf("reading base image: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return "", fmt.Errorf("reading base image: want one manifest in %s, got %d", base, len(manifest.Manifests))
	}
	return "oci-layout://" + path + "@" + manifest.Manifests[0].Digest.String(), nil
}

// baseNames are the images that the examples are built from.
func baseNames() []string {
	return []string{"iexechub/python-scone"}
}
