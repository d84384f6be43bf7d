package release

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// InterruptedError says how far a release came that was told to stop.
type InterruptedError struct {
	Done  []string // names of steps and of their parts
	Begun string   // in which it was stopped; empty when it was between two
	Left  []string
	Err   error
}

// Error implements error.
func (e *InterruptedError) Error() string {
	text := "interrupted: done nothing"
	if len(e.Done) > 0 {
		text = "interrupted: done " + strings.Join(e.Done, ", ")
	}
	if e.Begun != "" {
		text += "; begun " + e.Begun
	}
	if len(e.Left) > 0 {
		text += "; not done " + strings.Join(e.Left, ", ")
	}
	return text
}

// Unwrap returns what the step said, which is a [context.Canceled].
func (e *InterruptedError) Unwrap() error { return e.Err }

// memory is a Teller that keeps which parts of a release were done, in their order: a step
// may do another one first, or find that there is nothing to do.
type memory struct {
	Teller
	done  []string
	begun string   // the part that failed
	made  []string // names of steps that made something
	// evidence is how those ended that were done.
	evidence map[string]string
}

// Step implements Teller.
func (m *memory) Step(name string) (ended func(evidence string, err error)) {
	told := m.Teller.Step(name)
	return func(evidence string, err error) {
		if err == nil {
			m.done = append(m.done, name)
			m.evidence[name] = evidence
		} else {
			m.begun = name
		}
		told(evidence, err)
	}
}

// interrupted makes an InterruptedError of how the first of the steps ended that are left,
// when it was stopped.
func (m *memory) interrupted(ctx context.Context, left []step, err error) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	e := &InterruptedError{Done: m.done, Begun: m.begun, Err: errors.Join(err, ctx.Err())}
	for _, s := range left {
		if !s.unseen && s.name != m.begun && !slices.Contains(m.done, s.name) {
			e.Left = append(e.Left, s.name)
		}
	}
	return e
}
