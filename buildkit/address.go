package buildkit

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/buildkit/reach"
)

// AddressError says that what names a builder names none.
type AddressError struct {
	From  string // the flag or variable
	Value string
	Want  string
}

// Error implements error.
func (e *AddressError) Error() string {
	return fmt.Sprintf("%s: %q names no builder, want %s", e.From, e.Value, e.Want)
}

// Evidence returns both.
func (e *AddressError) Evidence() [][2]string {
	return [][2]string{{"where", e.From}, {"expected", e.Want}, {"actual", e.Value}}
}

// Remedy says what was probably meant.
func (e *AddressError) Remedy() string {
	scheme, rest, _ := strings.Cut(e.Value, "://")
	_, port, err := net.SplitHostPort(e.Value)
	given := e.From + "=" // to a flag, too
	switch {
	case strings.TrimSpace(e.Value) != e.Value:
		return "write the addresses without spaces, joined by commas"
	case strings.HasPrefix(e.Value, "/"):
		return given + "unix://" + e.Value
	case err == nil && port != "" && rest == "":
		return given + "tcp://" + e.Value
	case rest != "" && !slices.Contains(e.schemes(), scheme):
		return fmt.Sprintf("forward the socket, as in ssh -L /tmp/buildkitd.sock:/run/buildkit/buildkitd.sock HOST: %s:// is not spoken here", scheme)
	}
	return "name one of these, or leave it out: then it is the embedded builder, else Docker"
}

// schemes are those of what is wanted.
func (e *AddressError) schemes() (all []string) {
	for _, match := range regexp.MustCompile(`([a-z-]+)://`).FindAllStringSubmatch(e.Want, -1) {
		all = append(all, match[1])
	}
	return all
}

// The forms of addresses: of Docker's engine, and of a buildkitd.
const (
	engineForm  = "unix:///SOCKET or tcp://HOST:PORT"
	AddressForm = "unix:///SOCKET, tcp://HOST:PORT, ssh://HOST, docker-container://NAME or kube-pod://POD"
)

// MaxBuilders is how many daemons may be named.
const MaxBuilders = 64

// Remote is a buildkitd, and how it is reached.
type Remote struct {
	Address string // in one of the forms of AddressForm
	TLS     TLS
	Builds  int // how many builds it is given at the same time; 0: not said
}

// TLS are the files, in PEM, with which a daemon at tcp:// is spoken to; none of them where
// it speaks no TLS.
type TLS struct {
	CA        string // who signed the daemon's certificate
	Cert, Key string // this client's own; empty for a daemon that asks for none
}

// Check looks at the names and addresses of builders that Open would use. Its error is an
// [*AddressError].
func (o Options) Check() error {
	switch from, list := o.list(); {
	case o.Builder == Docker && o.DockerHost != "":
		return checkEngine("DOCKER_HOST", o.DockerHost)
	case o.Builder == Docker || o.Builder == Embedded:
		return nil
	case o.Builder != "":
		return checkList(from, list, Embedded+", "+Docker+", "+AddressForm)
	default:
		return checkList(from, list, AddressForm)
	}
}

// list is the list of addresses that counts, and where it is from; "" for none.
func (o Options) list() (from, list string) {
	if o.Builder != "" {
		return "--builder", o.Builder
	}
	return "BUILDKIT_HOST", o.BuildKitHost
}

func checkList(from, list, want string) error {
	all := split(list)
	for _, address := range all {
		if list != "" && !IsAddress(address) {
			if strings.Contains(address, "@") {
				address = "…" // which may have a password in it
			}
			return &AddressError{from, address, want}
		}
	}
	if n := len(all); n > MaxBuilders {
		return &AddressError{from, fmt.Sprintf("a list of %d", n), fmt.Sprintf("at most %d, each %s", MaxBuilders, want)}
	}
	return nil
}

// split takes a list of addresses apart at its commas, but for those in the path of a socket:
// what comes after that and is no address of its own goes on with the path.
func split(list string) (all []string) {
	for part := range strings.SplitSeq(list, ",") {
		last := len(all) - 1
		isOwn := part == "" || part == Embedded || part == Docker || strings.Contains(part, "://")
		if last >= 0 && strings.HasPrefix(all[last], "unix://") && !isOwn {
			all[last] += "," + part
		} else {
			all = append(all, part)
		}
	}
	return all
}

// Remotes are the daemons that the options name, in their order: by Builder or, when that is
// empty, BuildKitHost, of which each is a list that is joined by commas; else those of
// Builders. There are none where the builder is the embedded one, or Docker. A daemon that
// Builders has too is spoken to as it says there.
func (o Options) Remotes() (all []Remote) {
	_, list := o.list()
	switch list {
	case Embedded, Docker:
		return nil
	case "":
		return o.Builders
	}
	for _, address := range split(list) {
		r := Remote{Address: address}
		if i := slices.IndexFunc(o.Builders, func(known Remote) bool { return known.Address == address }); i >= 0 {
			r = o.Builders[i]
		}
		if !slices.ContainsFunc(all, func(other Remote) bool { return other.Address == address }) {
			all = append(all, r)
		}
	}
	return all
}

// IsAddress reports whether a text is the address of a buildkitd.
func IsAddress(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return false
	}
	if isLocal(u) {
		return true
	}
	_, err = reach.Command(u)
	return err == nil
}

// isLocal reports whether this process can connect by itself.
func isLocal(u *url.URL) bool {
	switch u.Scheme {
	case "unix":
		return u.Host == "" && strings.HasPrefix(u.Path, "/")
	case "tcp":
		return u.Hostname() != "" && u.Port() != "" && u.User == nil
	}
	return false
}

func checkEngine(from, value string) error {
	if u, err := url.Parse(value); err != nil || !isLocal(u) {
		return &AddressError{from, value, engineForm}
	}
	return nil
}
