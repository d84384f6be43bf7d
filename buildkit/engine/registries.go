//go:build linux && amd64

package engine

import (
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/util/resolver"
	resolverconfig "github.com/moby/buildkit/util/resolver/config"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// registries says how BuildKit speaks to registries: as to other services, within the
// bounds. Those of the list may speak plain HTTP, or have certificates of nobody's;
// BuildKit speaks plain HTTP to loopback addresses by itself.
func registries(insecure []string) docker.RegistryHosts {
	yes := true
	exceptions := make(map[string]resolverconfig.RegistryConfig, len(insecure))
	for _, host := range insecure {
		exceptions[host] = resolverconfig.RegistryConfig{PlainHTTP: &yes, Insecure: &yes}
	}
	hosts := resolver.NewRegistryConfig(exceptions)
	return func(domain string) ([]docker.RegistryHost, error) {
		found, err := hosts(domain)
		for i, host := range found {
			s := outside.Service{Host: host.Host, Most: bounds.Manifest, Blob: outside.IsBlob}
			if _, known := exceptions[domain]; known {
				s.Base = host.Client.Transport
			}
			client := *host.Client
			client.Transport = outside.Transport(s)
			found[i].Client = &client
		}
		return found, err
	}
}
