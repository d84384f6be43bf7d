package release

import (
	"context"
	"strings"
)

// step is a part of a release: a file of this package, and a line in steps.
type step struct {
	name string // as it is told
	// look says what is there of the step's results, and what would be made; nil
	// when they are seen by another step's look.
	look lookFunc
	// cost is a look that comes after all others.
	cost lookFunc
	// do finds or makes the results, and returns the evidence. The acts of package
	// publish look first and read back what they wrote, so do does not look again.
	do     func(*run, context.Context) (evidence string, err error)
	writes bool // outside of this machine's builder: a dry run looks instead
	tells  bool // by itself, of its parts, or nothing when there is nothing to do
	// afterwards: it is about what was written; a dry run leaves it out.
	afterwards bool
	unseen     bool // it makes nothing: what it finds is told of the steps that would
}

type lookFunc func(*run, context.Context) ([]Finding, error)

// State is what is known of a thing that a release leaves behind.
type State string

// The states. A Note is more about the plan, and no thing.
const (
	There  State = "there"
	ToMake State = "make"
	// ToRetire is what is there and would be there no more.
	ToRetire State = "retire"
	Unknown  State = "unknown" // cannot be seen from here, or not yet
	Note     State = ""
)

// Finding is what a look found of one thing.
type Finding struct {
	Name     string `json:"name"` // image, signature, provenance, app, order; or what the note is about
	State    State  `json:"state"`
	Evidence string `json:"evidence"`
}

// Teller is told what happens. Its methods are called one after the other.
type Teller interface {
	// Step is told that a part begins; ended, how it ended, with the evidence: a
	// digest, an address, what was found.
	Step(name string) (ended func(evidence string, err error))
	// Found is told of each finding of a plan.
	Found(Finding)
	// Note is told something beside the steps.
	Note(text string)
}

// tell runs a part and tells of it.
func tell(t Teller, name string, work func() (evidence string, err error)) error {
	ended := t.Step(name)
	evidence, err := work()
	ended(evidence, err)
	return err
}

// run does the step.
func (s step) run(ctx context.Context, r *run) error {
	if s.tells {
		_, err := s.do(r, ctx)
		return err
	}
	return tell(r.Teller, s.name, func() (string, error) { return s.do(r, ctx) })
}

// rehearse does the step, or looks at it where it would write.
func (s step) rehearse(ctx context.Context, r *run) error {
	switch {
	case s.afterwards:
		return nil
	case !s.writes:
		return s.run(ctx, r)
	case s.look == nil:
		return nil
	}
	return tell(r.told.Teller, s.name, func() (string, error) { // which does not count as done
		found, err := s.look(r, ctx)
		var evidence []string
		for _, f := range found {
			if f.State != Note {
				evidence = append(evidence, f.Evidence)
			}
		}
		return strings.Join(evidence, ", "), err
	})
}

// looks are those of all steps, and then what they would cost.
func (r Release) looks() []lookFunc {
	var all, costs []lookFunc
	for _, s := range r.steps() {
		if s.look != nil {
			all = append(all, s.look)
		}
		if s.cost != nil {
			costs = append(costs, s.cost)
		}
	}
	return append(all, costs...)
}
