package registry

import (
	"errors"
	"fmt"
	"net/http"

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

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Act, e.Where, e.Err) }

// Unwrap returns the registry's answer, or the network's.
func (e *Error) Unwrap() error { return e.Err }

// Evidence returns what was asked for, and the answer.
func (e *Error) Evidence() [][2]string {
	status := "none"
	var answer *transport.Error
	if errors.As(e.Err, &answer) {
		status = fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return [][2]string{{"act", e.Act}, {"where", e.Where}, {"status", status}, {"because", e.Err.Error()}}
}
