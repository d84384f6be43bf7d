package outside

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/mrelease/mrelease/bounds"
)

// CheckRealm refuses where a registry sends those who want a token, which get the login
// there: an address that is further inside than the registry is, or that is asked without
// TLS, unless both are in this machine or its own network, where registries without TLS
// are. Its error is a [*bounds.AddressError], or that the
// realm is no address.
func CheckRealm(ctx context.Context, registry, realm string) error {
	return checkRealm(ctx, lookUp, registry, realm)
}

func checkRealm(ctx context.Context, look look, registry, realm string) error {
	to, err := url.Parse(realm)
	if err != nil || to.Host == "" || to.User != nil {
		return fmt.Errorf("asking for a token of %s: %q is no address", registry, realm)
	}
	t := &transport{Service: Service{Host: registry}, look: look}
	if to.Host != registry {
		if _, err := t.admit(ctx, to); err != nil {
			return err
		}
	}
	if to.Scheme == "https" || to.Scheme == "http" && isInside(ctx, look, registry) && isInside(ctx, look, to.Host) {
		return nil
	}
	return &bounds.AddressError{From: registry, To: to.Host, Kind: bounds.Clear}
}

// IsInside reports whether all addresses of a host, which may have a port, are this
// machine's or its network's: beyond them strangers read what is sent without TLS.
func IsInside(ctx context.Context, host string) bool { return isInside(ctx, lookUp, host) }

// isInside reports whether all addresses of a host are this machine's or its network's.
func isInside(ctx context.Context, look look, host string) bool {
	there, err := look(ctx, hostname(host))
	return err == nil && len(there) > 0 && !slices.Contains(there, public) && !slices.Contains(there, nowhere)
}
