package outside

import (
	"context"
	"net"
	"net/netip"
)

// place is how far inside this machine or its network an address is.
type place int

const (
	public   place = iota
	private        // of the network that the machine is in
	loopback       // of the machine itself
	nowhere        // link-local, where clouds keep credentials, and what is no host's
)

func (p place) String() string {
	return [...]string{"public", "private", "loopback", "link-local or reserved"}[p]
}

// shared is what carriers and clouds use inside, beside the private ranges (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// placeOf returns the place of an address.
func placeOf(a netip.Addr) place {
	a = a.Unmap()
	switch {
	case a.IsLoopback():
		return loopback
	case a.IsPrivate(), shared.Contains(a):
		return private
	case !a.IsGlobalUnicast(): // unspecified, link-local, multicast, broadcast
		return nowhere
	}
	return public
}

// look returns the places of a host's addresses.
type look func(ctx context.Context, host string) ([]place, error)

func lookUp(ctx context.Context, host string) ([]place, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []place{placeOf(a)}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var places []place
	for _, a := range found {
		places = append(places, placeOf(a))
	}
	return places, nil
}
