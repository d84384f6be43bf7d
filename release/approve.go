package release

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mrelease/mrelease/buildkit"
)

// compare makes sure, before anything is built or opened, that what was approved is what
// would be done, as far as can be seen: a plan says it. No transaction offers more than was
// approved from then on.
func (r Release) compare(ctx context.Context) error {
	most, err := r.Approved.Cost.Ceiling()
	if err != nil {
		return err
	}
	if r.Chain.MaxFeePerGas == 0 {
		r.Chain.MaxFeePerGas = most
	}
	told := r.Teller
	if told == nil {
		told = silent{}
	}
	r.Teller = unfound{told}
	return tell(told, "plan", func() (string, error) {
		plan, err := r.Plan(ctx)
		if err == nil {
			err = r.Approved.Check(plan.Bound, false)
		}
		return r.Approved.Hash + ", as approved as far as can be seen", err
	})
}

// WriteBound writes what would be approved to a file; to none if no path is given. Its
// errors are those of [WriteOutput], and an [*InSourceError].
func (r Release) WriteBound(ctx context.Context, p Plan, path string) error {
	if path == "" {
		return nil
	}
	if r.Settings.Wallet.IsSafe() {
		return unapprovable()
	}
	if err := r.checkUnseen(path); err != nil { // before a file of the source is written over
		return err
	}
	data, err := p.Bound.Encode()
	if err != nil {
		return err
	}
	if err := WriteOutput(path, data); err != nil {
		return err
	}
	now, err := r.Source.Digest(ctx)
	if err == nil && now != p.Inputs {
		err = errors.Join(&InSourceError{Path: path}, os.Remove(path))
	}
	return err
}

// checkUnseen makes sure that a build would not see a file. Its error is an [*InSourceError].
func (r Release) checkUnseen(path string) error {
	sight, err := r.Source.Sight()
	if err != nil {
		return err
	}
	file := buildkit.Absolute(path)
	seen, err := sight.Sees(file)
	if err != nil || !seen {
		return err
	}
	ignore, err := sight.IgnoreFile(file)
	if err == nil {
		err = &InSourceError{path, ignore}
	}
	return err
}

// InSourceError says that a plan's file would be part of what is built: with it there, the
// source is another one than the plan's.
type InSourceError struct {
	Path   string
	Ignore string // the ignore file in which a line would leave it out; empty where none would
}

func (e *InSourceError) Error() string {
	return fmt.Sprintf("the plan's file %s would be a part of the source", e.Path)
}

// Evidence returns which file.
func (e *InSourceError) Evidence() [][2]string {
	expected := "a file outside of what is built"
	if e.Ignore != "" {
		expected = "a file that " + e.Ignore + " leaves out, or outside of the context"
	}
	return [][2]string{{"where", e.Path}, {"expected", expected}}
}

// unfound is a Teller that is not told of findings.
type unfound struct{ Teller }

// Found implements Teller.
func (unfound) Found(Finding) {}

// checkApproved makes sure, before the first write, that what is about to be written is
// what was approved. All is known by now.
func (r *run) checkApproved(ctx context.Context) (string, error) {
	now, err := r.bind(ctx)
	if err != nil {
		return "", err
	}
	return r.Approved.Hash + ", nothing differs", r.Approved.Check(now, true)
}
