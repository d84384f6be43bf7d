package keys

import (
	"context"
	"errors"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/settings"
)

// lockedService is a key in a key service. As with a wallet's, no context interrupts what it
// is asked when both keys are opened at once; it has a bound of its own.
func (r Ring) lockedService() (l locked[*signing.Key], err error) {
	for _, variable := range r.Sign.KMS().Variables() {
		r.secret(variable) // which has it masked
	}
	l.open = func() (*signing.Key, error) {
		opened, err := r.imageKey().OpenImage(context.Background())
		if err != nil {
			return nil, err
		}
		return signing.NewKey(opened.Public, opened.Sign)
	}
	return l, nil
}

// ImageService says which key in a key service signs images; empty when it is in none.
func (r Ring) ImageService() string {
	if !r.Sign.KMS().IsSet() {
		return ""
	}
	return r.imageKey().String()
}

func (r Ring) imageKey() kms.Key {
	k := r.Sign.KMS()
	switch k.Cloud {
	case settings.AWSKMS:
		return kms.AWS(k.Endpoint, k.Key)
	case settings.GCPKMS:
		return kms.Google(k.Key)
	case settings.AzureKMS:
		return kms.Azure(r.azureLogin(), k.Endpoint, k.Key)
	}
	return kms.Vault(r.vaultLogin(), k.Key)
}

// vaultLogin reads what Vault's own program reads, as far as sigstore's library does: the
// token is that of VAULT_TOKEN, or the one that vault login keeps.
func (r Ring) vaultLogin() kms.VaultLogin {
	token := r.secret("VAULT_TOKEN")
	if token == "" {
		token = r.kept(settings.VaultTokenFile(r.Getenv))
	}
	return kms.VaultLogin{Address: r.Getenv("VAULT_ADDR"), Token: token, Namespace: r.Getenv("VAULT_NAMESPACE"), Mount: r.Getenv("TRANSIT_SECRET_ENGINE_PATH")}
}

// kept returns the secret that a file holds; empty for none.
func (r Ring) kept(file string) string {
	text, err := bounds.ReadFile(file, bounds.Key)
	secret := strings.TrimSpace(string(text))
	if err != nil || secret == "" {
		return ""
	}
	if r.Mask != nil {
		r.Mask(secret)
	}
	return secret
}

func (r Ring) azureLogin() kms.AzureLogin {
	l := kms.AzureLogin{Tenant: r.Getenv("AZURE_TENANT_ID"), Client: r.Getenv("AZURE_CLIENT_ID"), Secret: r.secret("AZURE_CLIENT_SECRET"), Authority: r.Getenv("AZURE_AUTHORITY_HOST")}
	if file := r.Getenv("AZURE_FEDERATED_TOKEN_FILE"); file != "" {
		l.Assertion = func() (string, error) {
			if token := r.kept(file); token != "" {
				return token, nil
			}
			return "", errors.New("the file of AZURE_FEDERATED_TOKEN_FILE is empty, or cannot be read")
		}
	}
	for _, other := range []string{"AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"} {
		if r.Getenv(other) != "" {
			l.Others = append(l.Others, other)
		}
	}
	return l
}
