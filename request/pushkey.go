package request

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
)

// resultKey is the name of a beneficiary's key in the service.
const resultKey = "iexec-result-encryption-public-key"

// dropboxToken is the name of a requester's token for Dropbox in the service.
const dropboxToken = "iexec-result-dropbox-token"

// KeyState is what is known of the key that a service has of a beneficiary.
type KeyState string

// The states. The service tells the first from the others, and no more; the others are
// told apart by what was pushed from here last.
const (
	KeyAbsent  KeyState = "absent"  // the service has none
	KeyNoted   KeyState = "noted"   // it has one, and this one was pushed from here last
	KeyOther   KeyState = "other"   // it has one, and another one was pushed from here last
	KeyUnknown KeyState = "unknown" // it has one, and none was pushed from here
)

// CheckKey asks for the state of a key. Its error is a [*ServiceError].
func (s Service) CheckKey(ctx context.Context, k Key) (KeyState, error) {
	there, err := s.has(ctx, web2(k.Beneficiary, resultKey))
	if err != nil || !there {
		return KeyAbsent, err
	}
	switch noted := k.Files.noted(s.URL); noted {
	case k.Fingerprint():
		return KeyNoted, nil
	case "":
		return KeyUnknown, nil
	}
	return KeyOther, nil
}

// HasKey asks whether the service has a key of a beneficiary, whichever. Its error is a
// [*ServiceError].
func (s Service) HasKey(ctx context.Context, beneficiary common.Address) (bool, error) {
	return s.has(ctx, web2(beneficiary, resultKey))
}

// Pushed says what a push did.
type Pushed string

// What a push did.
const (
	PushedNew      Pushed = "pushed"
	PushedReplaced Pushed = "replaced"
	PushedThere    Pushed = "was there already" // as far as that is known: [KeyNoted]
)

// OtherKeyError says that the service has a key already that is, or may be, another one.
type OtherKeyError struct {
	State       KeyState // KeyOther or KeyUnknown
	Beneficiary common.Address
	URL         string // scheme and host
}

// Error implements error.
func (e *OtherKeyError) Error() string {
	return fmt.Sprintf("pushing result key: the secret service has a key of %s already", e.Beneficiary)
}

// Evidence returns what is known of that key.
func (e *OtherKeyError) Evidence() [][2]string {
	known := "the service does not tell which, and none was pushed from here"
	if e.State == KeyOther {
		known = "another key was pushed from here last"
	}
	return [][2]string{{"expected", "none, or this one"}, {"actual", known}, {"where", e.URL}}
}

// UnreplaceableError says that a service takes no other key for the one that it has.
type UnreplaceableError struct{ Err *ServiceError }

// Error implements error.
func (e *UnreplaceableError) Error() string {
	return "replacing result key: this secret service keeps the first key for ever"
}

// Unwrap returns the service's answer.
func (e *UnreplaceableError) Unwrap() error { return e.Err }

// Evidence returns the service's answer.
func (e *UnreplaceableError) Evidence() [][2]string { return e.Err.Evidence() }

// PushKey makes the service have a key, as its beneficiary. A key that the service
// seems to have already is not sent again; another one is replaced only when that is
// asked for. Its error is a [*KeyError], an [*OtherKeyError], an [*UnreplaceableError] or a
// [*ServiceError].
func (s Service) PushKey(ctx context.Context, w node.Wallet, k Key, replace bool) (Pushed, error) {
	if w.Address != k.Beneficiary {
		return "", &KeyError{Path: k.Files.Private, Problem: fmt.Sprintf("it is the key of %s, and the wallet is %s", k.Beneficiary, w.Address)}
	}
	at, value := web2(k.Beneficiary, resultKey), base64.StdEncoding.EncodeToString(k.Public())
	state, err := s.CheckKey(ctx, k)
	if err != nil {
		return "", err
	}
	did := PushedNew
	if state == KeyAbsent {
		status, err := s.set(ctx, w, http.MethodPost, at, value)
		if status == http.StatusConflict { // another job was faster
			return "", &OtherKeyError{KeyUnknown, k.Beneficiary, redact.URL(s.URL)}
		}
		if err != nil {
			return "", err
		}
		return did, s.pushed(ctx, k)
	}
	switch {
	case replace:
	case state == KeyNoted:
		return PushedThere, nil
	default:
		return "", &OtherKeyError{state, k.Beneficiary, redact.URL(s.URL)}
	}
	status, err := s.set(ctx, w, http.MethodPut, at, value)
	var refused *ServiceError
	if errors.As(err, &refused) && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusConflict || status == http.StatusNotImplemented) {
		return "", &UnreplaceableError{refused}
	}
	if err != nil {
		return "", err
	}
	return PushedReplaced, s.pushed(ctx, k)
}

// pushed notes that a key was pushed, once the service says that it has one.
func (s Service) pushed(ctx context.Context, k Key) error {
	there, err := s.HasKey(ctx, k.Beneficiary)
	if err != nil {
		return err
	}
	if !there {
		return &ServiceError{URL: redact.URL(s.URL), Request: "HEAD /secrets/web2", Status: http.StatusNotFound, Message: "it took the key and does not have it"}
	}
	return k.Files.writeNote(s.URL, k.Fingerprint())
}

// noted returns the fingerprint of the key that was last pushed to a service from here;
// "" for none, and where the note cannot be read.
func (f KeyFiles) noted(service string) string { return f.notes()[place(service)] }

func (f KeyFiles) notes() map[string]string {
	notes := map[string]string{}
	if text, err := bounds.ReadJSON(f.note, bounds.Key); err == nil {
		_ = json.Unmarshal(text, &notes) // a note that is broken is none
	}
	return notes
}

// writeNote writes the note, whole.
func (f KeyFiles) writeNote(service, fingerprint string) error {
	notes := f.notes()
	notes[place(service)] = fingerprint
	text, err := json.MarshalIndent(notes, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding note: %w", err)
	}
	part, err := os.CreateTemp(filepath.Dir(f.note), ".key-*.part")
	if err == nil {
		defer os.Remove(part.Name()) // which is gone when all went well
		_, err = part.Write(append(text, '\n'))
		err = errors.Join(err, part.Close())
	}
	if err == nil {
		err = os.Rename(part.Name(), f.note)
	}
	if err != nil {
		return fmt.Errorf("noting what was pushed: %w", err)
	}
	return nil
}

// place is a service's address as it is noted: without what may be a secret in it.
func place(service string) string { return strings.ToLower(redact.URL(service)) }
