package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/keyservice"
)

// What opens the stand-ins of the services that have a key for images.
const (
	imageVaultToken = "hvs.image-vault-token-51d0"
	imageAzure      = "image-azure-client-secret-9e3f"
)

// imageKey has a key service hold the key that signs images, in place of the file that
// mrelease.yaml names, and writes its public half to service.pub; faults are those of the
// service image-key:
//
//	key-in vault        the transit engine of Vault
//	key-in azure        a key vault of Azure
func imageKey(ts *testscript.TestScript, s *script, args []string) {
	starts := map[string]func(*keyservice.Key) (map[string]string, func()){"vault": s.keyInVault, "azure": s.keyInAzure}
	if len(args) != 1 || starts[args[0]] == nil {
		ts.Fatalf("usage: key-in vault|azure")
	}
	key, err := keyservice.NewP256()
	ts.Check(err)
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(s.dir, "service.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644))
	env, stop := starts[args[0]](key)
	ts.Defer(stop)
	for name, value := range env {
		ts.Setenv(name, value)
	}
}

func (s *script) keyInVault(key *keyservice.Key) (map[string]string, func()) {
	v := &keyservice.Vault{Token: imageVaultToken, Mount: "team/transit", Keys: map[string]*keyservice.Key{"release": key}}
	server := httptest.NewServer(s.world.Faults.Wrap("image-key", v))
	return map[string]string{
		"VAULT_ADDR": server.URL, "VAULT_TOKEN": imageVaultToken, "TRANSIT_SECRET_ENGINE_PATH": "team/transit", "MRELEASE_SIGN_KEY": "hashivault://release",
	}, server.Close
}

func (s *script) keyInAzure(key *keyservice.Key) (map[string]string, func()) {
	a := &keyservice.Azure{Tenant: "acme.example.com", Client: "11111111-2222-3333-4444-555555555555", Secret: imageAzure, Scope: "https://vault.azure.net/.default", Keys: map[string]*keyservice.Key{"release": key}}
	vault, entra := httptest.NewServer(s.world.Faults.Wrap("image-key", a)), httptest.NewServer(http.HandlerFunc(a.Exchange))
	return map[string]string{
		"AZURE_TENANT_ID": a.Tenant, "AZURE_CLIENT_ID": a.Client, "AZURE_CLIENT_SECRET": imageAzure, "AZURE_AUTHORITY_HOST": entra.URL,
		"MRELEASE_SIGN_KEY": "azurekms://" + strings.TrimPrefix(vault.URL, "http://") + "/release",
	}, func() { vault.Close(); entra.Close() }
}
