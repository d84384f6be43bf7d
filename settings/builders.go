package settings

import (
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/buildkit"
)

// Builders are daemons of BuildKit that build.
type Builders []Builder

// Builder is one of them.
type Builder struct {
	Address string `yaml:"address" doc:"where it is: tcp://HOST:PORT, unix:///SOCKET, ssh://USER@HOST, docker-container://NAME or kube-pod://POD (required)"`
	CA      Path   `yaml:"ca" doc:"with tcp: file of the certificates of who signed the daemon's, in PEM; without it no TLS is spoken"`
	Cert    Path   `yaml:"cert" doc:"with ca: file of this client's certificate, in PEM"`
	Key     Path   `yaml:"key" doc:"with cert: file of its private key, in PEM; no build gets it"`
	Builds  uint64 `yaml:"builds" doc:"how many builds of one command it is given at the same time; when not set as many as this machine has processors, and GiB of memory"`
}

// maxBuilds is how many builds a builder may be given at the same time: more than apps there
// cannot be.
const maxBuilds = MaxApps

// Remotes returns the builders as the client takes them.
func (b Builders) Remotes() (all []buildkit.Remote) {
	for _, one := range b {
		all = append(all, buildkit.Remote{
			Address: one.Address, TLS: buildkit.TLS{CA: string(one.CA), Cert: string(one.Cert), Key: string(one.Key)}, Builds: int(min(one.Builds, maxBuilds)),
		})
	}
	return all
}

// builders reads the list of builders, each with keys of its own, or its address alone. A
// later file's list takes the place of an earlier one.
func (d *decoder) builders(n node, into *Builders) {
	items, ok := d.elements(n, "builders", buildkit.MaxBuilders)
	if !ok {
		return
	}
	*into = nil
	for _, item := range items {
		*into = append(*into, d.builder(item))
	}
}

func (d *decoder) builder(n node) (b Builder) {
	if address, ok := scalarText(n.Node); ok {
		b.Address = address
		return b
	}
	d.mapping(n, reflect.ValueOf(&b).Elem(), d.field)
	return b
}

// checkBuilders finds out whether each can be an address, and whether the files are there
// with which it is spoken to.
func (c *Checker) checkBuilders() {
	seen := map[string]int{}
	for i, b := range c.Settings.Builders {
		key := fmt.Sprintf("builders[%d]", i)
		switch first, twice := seen[b.Address]; {
		case b.Address == "" && slices.ContainsFunc(c.Problems, func(p Problem) bool { return strings.HasPrefix(p.Key, key) }):
		case b.Address == "":
			c.Complain(key, "address is missing: "+buildkit.AddressForm)
		case !buildkit.IsAddress(b.Address):
			c.Complain(key+".address", "want %s, got %s", buildkit.AddressForm, quoteAddress(b.Address))
		case twice:
			c.Complain(key+".address", "%s is that of builders[%d] too", b.Address, first)
		default:
			seen[b.Address] = i
		}
		c.checkTLS(key, b)
		if b.Builds > maxBuilds {
			c.Complain(key+".builds", "must be at most %d, got %d", maxBuilds, b.Builds)
		}
	}
}

// checkTLS looks at the files of a builder.
func (c *Checker) checkTLS(key string, b Builder) {
	files := []struct {
		name string
		path Path
	}{{"ca", b.CA}, {"cert", b.Cert}, {"key", b.Key}}
	u, err := url.Parse(b.Address)
	isTCP := err == nil && u.Scheme == "tcp"
	for _, f := range files {
		if f.path == "" {
			continue
		}
		if b.Address != "" && !isTCP {
			c.Complain(key+"."+f.name, "is for TLS, which is spoken with a builder at tcp:// only")
		} else if info, err := os.Stat(string(f.path)); err != nil {
			c.Complain(key+"."+f.name, "%s: %s", f.path, Reason(err))
		} else if !info.Mode().IsRegular() {
			c.Complain(key+"."+f.name, "%s is no file", f.path)
		}
	}
	set := func(p Path) bool { return p != "" }
	switch {
	case set(b.Cert) != set(b.Key):
		c.Complain(key, "cert and key stand together: one of them is missing")
	case set(b.Key) && !set(b.CA):
		c.Complain(key, "ca is missing beside cert and key: it says which daemon is the right one")
	}
}

// quoteAddress shows what is no address, unless it may have a password in it.
func quoteAddress(text string) string {
	if strings.Contains(text, "@") {
		return "another form, or one with a password"
	}
	return fmt.Sprintf("%q", text)
}
