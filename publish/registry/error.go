package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Error says that a registry refused a request, failed, or did not answer.
type Error struct {
	Act   string // "pushing", "looking for"
	Where string // reference of the image
	Err   error
}

func failed(act string, where fmt.Stringer, err error) error {
	return &Error{act, where.String(), err}
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s", e.Act, e.Where, told(e.Err)) }

// Unwrap returns the registry's answer, or the network's.
func (e *Error) Unwrap() error { return e.Err }

// Evidence returns what was asked for, and the answer.
func (e *Error) Evidence() [][2]string {
	status := "none"
	var answer *transport.Error
	if errors.As(e.Err, &answer) {
		status = fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return [][2]string{{"act", e.Act}, {"where", e.Where}, {"status", status}, {"because", told(e.Err)}}
}

// Login returns the registry that refuses this login, or nobody's; empty for another
// error.
func (e *Error) Login() string {
	var answer *transport.Error
	if !errors.As(e.Err, &answer) || answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden {
		return ""
	}
	registry, _, _ := strings.Cut(e.Where, "/")
	return registry
}

// askingForList is the act of who looks for where signatures are listed.
const askingForList = "asking for the list of signatures of"

// Remedy is what to do about it.
func (e *Error) Remedy() string {
	const remedy = "wait and run the same command again: what is done is found"
	var answer *transport.Error
	if e.Act == askingForList && errors.As(e.Err, &answer) && answer.StatusCode >= 500 {
		return remedy + "; if the registry answers so for ever, set sign.layout: tags, which needs no list"
	}
	return remedy
}

// MissingError says that a registry has no such image.
type MissingError struct {
	Image string // reference
	Err   error  // the registry's answer
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no image %s: the registry answers that it does not have it", e.Image)
}

// Unwrap returns the registry's answer.
func (e *MissingError) Unwrap() error { return e.Err }

// Evidence returns what was asked for, and the answer.
func (e *MissingError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Image}, {"actual", told(e.Err)}}
}

// lookup says that an image could not be had; that it is not there, of one that the
// registry does not have.
func lookup(act string, image fmt.Stringer, err error) error {
	if isNotFound(err) {
		return &MissingError{image.String(), err}
	}
	return failed(act, image, err)
}

// told tells an error of a registry near by, which is tried with TLS and without, once
// where both tries say the same; of one that speaks no TLS, what it says without.
func told(err error) string {
	const (
		secure, plain = `Get "https://`, `Get "http://`
		noTLS         = "server gave HTTP response to HTTPS client"
	)
	before, tries, found := strings.Cut(err.Error(), secure)
	with, without, both := strings.Cut(tries, "; "+plain)
	switch {
	case !found || !both:
		return err.Error()
	case strings.HasSuffix(with, noTLS):
		return before + plain + without
	case with == without:
		return before + secure + with + " (and http likewise)"
	}
	return err.Error()
}
