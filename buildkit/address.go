package buildkit

import (
	"fmt"
	"net"
	"net/url"
	"strings"
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
	case strings.HasPrefix(e.Value, "/"):
		return given + "unix://" + e.Value
	case err == nil && port != "" && rest == "":
		return given + "tcp://" + e.Value
	case rest != "" && !canDial(scheme):
		return fmt.Sprintf("forward the socket, as in ssh -L /tmp/buildkitd.sock:/run/buildkit/buildkitd.sock HOST: %s:// is not spoken here", scheme)
	}
	return "name one of these, or leave it out: then it is the embedded builder, else Docker"
}

const addressForm = "unix:///SOCKET or tcp://HOST:PORT"

// Check looks at the names and addresses of builders that Open would use. Its error is an
// [*AddressError].
func (o Options) Check() error {
	switch {
	case o.Builder == Docker && o.DockerHost != "":
		return checkAddress("DOCKER_HOST", o.DockerHost, addressForm)
	case o.Builder == Docker || o.Builder == Embedded:
		return nil
	case o.Builder != "":
		return checkAddress("--builder", o.Builder, Embedded+", "+Docker+", "+addressForm)
	case o.BuildKitHost != "":
		return checkAddress("BUILDKIT_HOST", o.BuildKitHost, addressForm)
	}
	return nil
}

func checkAddress(from, value, want string) error {
	u, err := url.Parse(value)
	switch {
	case err == nil && u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return nil
	case err == nil && u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "":
		return nil
	}
	return &AddressError{from, value, want}
}

func canDial(scheme string) bool { return scheme == "unix" || scheme == "tcp" }
