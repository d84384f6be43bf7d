package release

import (
	"context"
	"errors"
	"strings"
)

// InterruptedError says how far a release came that was told to stop.
type InterruptedError struct {
	Done, Left []string // names of steps; that in which it was stopped is left
	Err        error
}

// Error implements error.
func (e *InterruptedError) Error() string {
	done := "nothing"
	if len(e.Done) > 0 {
		done = strings.Join(e.Done, ", ")
	}
	return "interrupted: done " + done + "; not done " + strings.Join(e.Left, ", ")
}

// Unwrap returns what the step said, which is a [context.Canceled].
func (e *InterruptedError) Unwrap() error { return e.Err }

// interrupted makes an InterruptedError of how a step ended that was stopped.
func interrupted(ctx context.Context, at int, err error) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	e := &InterruptedError{Err: errors.Join(err, ctx.Err())}
	for i, s := range steps() {
		if i < at {
			e.Done = append(e.Done, s.name)
		} else {
			e.Left = append(e.Left, s.name)
		}
	}
	return e
}
