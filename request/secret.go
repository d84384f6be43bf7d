package request

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/printable"
)

// SecretError says why a secret cannot be one. It holds nothing of its value.
type SecretError struct {
	Name    string
	Problem string
}

// Error implements error.
func (e *SecretError) Error() string { return fmt.Sprintf("secret %s: %s", e.Name, e.Problem) }

// Evidence returns which, and why.
func (e *SecretError) Evidence() [][2]string {
	return [][2]string{{"secret", e.Name}, {"problem", e.Problem}}
}

// SecretThereError says that a requester has a secret of the name already.
type SecretThereError struct {
	Name  string
	Owner common.Address
	URL   string // scheme and host
}

// Error implements error.
func (e *SecretThereError) Error() string {
	return fmt.Sprintf("pushing secret: %s has a secret %s already", e.Owner, e.Name)
}

// Evidence returns where, and what follows.
func (e *SecretThereError) Evidence() [][2]string {
	return [][2]string{{"expected", "no secret of that name"}, {"actual", "one that can neither be read nor changed"}, {"where", e.URL}}
}

// CheckSecretName says why a requester's secret cannot have a name.
func CheckSecretName(name string) error {
	if !regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`).MatchString(name) {
		return &SecretError{name, "its name must be 1 to 64 letters, digits, - or _"}
	}
	return nil
}

// HasSecret asks whether a requester has a secret of a name. Its error is a
// [*SecretError] or a [*ServiceError].
func (s Service) HasSecret(ctx context.Context, requester common.Address, name string) (bool, error) {
	if err := CheckSecretName(name); err != nil {
		return false, err
	}
	return s.has(ctx, requesters(requester, name))
}

// PushSecret gives the service a secret of the requester, which it keeps as it is. Its
// error is a [*SecretError], a [*SecretThereError] or a [*ServiceError].
func (s Service) PushSecret(ctx context.Context, w node.Wallet, name string, value []byte) error {
	if err := CheckSecretValue(name, value); err != nil {
		return err
	}
	s.secret = string(value)
	there, err := s.HasSecret(ctx, w.Address, name)
	if err != nil {
		return err
	}
	taken := &SecretThereError{name, w.Address, redact.URL(s.URL)}
	if there {
		return taken
	}
	made, err := s.add(ctx, w, requesters(w.Address, name), value)
	if err == nil && !made {
		return taken
	}
	return err
}

// HasAppSecret asks whether an app has a secret. Its error is a [*ServiceError].
func (s Service) HasAppSecret(ctx context.Context, app common.Address) (bool, error) {
	return s.has(ctx, apps(app))
}

// PushAppSecret gives the service the secret of an app, which its enclave finds in
// IEXEC_APP_DEVELOPER_SECRET. The wallet must be the app's owner. A secret that is there
// already stays as it is: nobody can tell whether it is the same. Its error is a
// [*SecretError] or a [*ServiceError].
func (s Service) PushAppSecret(ctx context.Context, owner node.Wallet, app common.Address, value []byte) (made bool, err error) {
	if err := CheckSecretValue("of the app", value); err != nil {
		return false, err
	}
	s.secret = string(value)
	if there, err := s.HasAppSecret(ctx, app); there || err != nil {
		return false, err
	}
	return s.add(ctx, owner, apps(app), value)
}

// SecretSize says of a secret what may be said.
func SecretSize(value []byte) string {
	size := printable.Count(len(value), "byte")
	if bytes.HasSuffix(value, []byte("\n")) {
		size += ", the last of which is a line end, which the run is given too"
	}
	return size
}

// CheckSecretValue says why a secret cannot have a value, without a word of it. Its error
// is a [*SecretError].
func CheckSecretValue(name string, value []byte) error {
	switch {
	case len(value) == 0:
		return &SecretError{name, "its value is empty"}
	case len(value) > bounds.RequesterSecret:
		return &SecretError{name, fmt.Sprintf("its value has %d bytes, and the service takes %d", len(value), bounds.RequesterSecret)}
	case !utf8.Valid(value):
		return &SecretError{name, "its value is no text in UTF-8: encode it, for instance in base64"}
	}
	return nil
}

// add sends a secret that is not there, and asks for it afterwards. It is not made when
// there is one after all.
func (s Service) add(ctx context.Context, w node.Wallet, at secret, value []byte) (made bool, err error) {
	status, err := s.set(ctx, w, http.MethodPost, at, string(value))
	if status == http.StatusConflict {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	there, err := s.has(ctx, at)
	if err == nil && !there {
		err = &ServiceError{URL: redact.URL(s.URL), Request: "HEAD " + at.path, Status: http.StatusNotFound, Message: "it took the secret and does not have it"}
	}
	return true, err
}
