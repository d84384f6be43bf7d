// Package several makes releases of several apps at the same time: with the same builders, one
// connection to the chain and one wallet, whose transactions share one sequence of nonces.
// One that fails leaves the others as they are.
package several

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/pool"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/release"
)

// Group is what the work on several apps has in common.
type Group struct {
	// Builders returns the pool of builders for so many users, each of which is given so many
	// builds at the same time unless it says otherwise. It is closed when the last app needs
	// it no more.
	Builders func(builds, users int) (*pool.Pool, error)
	// Importers returns likewise the pool of the builder that takes steps of others; nil: no
	// app takes any. BuildKit's own caches in memory are a process's, so a state is opened once.
	Importers func(builds, users int) (*pool.Pool, error)
	// Progress is how the builds of an app are shown.
	Progress func(app string) buildkit.Progress
	// Teller is told what happens to an app. Those of several apps are called at the same
	// time.
	Teller func(app string) release.Teller
	// Builds is how many apps a builder builds at the same time, at least one; see [Builds].
	Builds int

	measuring, login sync.Mutex
}

// Outcome is how the release of an app ended.
type Outcome struct {
	Name   string
	State  State
	Step   string // that failed
	Result release.Result
	Err    error
	Took   time.Duration
}

// State is what became of a release.
type State string

// The states. Of a release that is untouched nothing was written outside of this machine.
const (
	Done      State = "done"
	Failed    State = "failed"
	Untouched State = "untouched"
)

// Error says which releases did not come to their end. Its causes are theirs, first that of
// the first in the list that was not interrupted.
type Error struct{ Outcomes []Outcome }

// Error implements error.
func (e *Error) Error() string {
	var texts []string
	done := 0
	for _, o := range e.Outcomes {
		switch {
		case o.State == Done:
			done++
		case o.Step != "":
			texts = append(texts, fmt.Sprintf("%s at %s", o.Name, o.Step))
		default:
			texts = append(texts, o.Name)
		}
	}
	return fmt.Sprintf("%d of %s are done; not done: %s; %s", done, printable.Count(len(e.Outcomes), "app"), strings.Join(texts, ", "), e.first().Err)
}

// first is the outcome that says most of why.
func (e *Error) first() Outcome {
	failed := func(o Outcome) bool { return o.Err != nil && !errors.Is(o.Err, context.Canceled) }
	if i := slices.IndexFunc(e.Outcomes, failed); i >= 0 {
		return e.Outcomes[i]
	}
	return e.Outcomes[slices.IndexFunc(e.Outcomes, func(o Outcome) bool { return o.Err != nil })]
}

// Unwrap returns the error of the first.
func (e *Error) Unwrap() error { return e.first().Err }

// Run makes all releases, each of an app that Settings.Apps.Chosen names. Each goes on until
// it is done or has failed, whatever becomes of the others; what failed is finished by
// running it again. The error is an [*Error], or says that there is no builder.
func (g *Group) Run(ctx context.Context, all []release.Release) ([]Outcome, error) {
	return g.release(ctx, all, release.Release.Run)
}

// DryRun is [release.Release.DryRun] of all.
func (g *Group) DryRun(ctx context.Context, all []release.Release) ([]Outcome, error) {
	return g.release(ctx, all, release.Release.DryRun)
}

func (g *Group) release(ctx context.Context, all []release.Release, act func(release.Release, context.Context) (release.Result, error)) ([]Outcome, error) {
	names, results := make([]string, len(all)), make([]release.Result, len(all))
	for i, r := range all {
		names[i] = r.Settings.Apps.Chosen
	}
	outcomes, err := g.Each(ctx, names, func(i int, w Work) (err error) {
		r := all[i]
		r.Teller, r.Builder, r.Importer, r.Measuring, r.Market.Turn = w.Teller, w.Builder, w.Importer, &g.measuring, &g.login
		results[i], err = act(r, ctx)
		return err
	})
	for i := range outcomes {
		outcomes[i].Result = results[i]
	}
	return outcomes, err
}

// Work is what the work on one app gets.
type Work struct {
	Teller release.Teller
	// Builder waits until there is a place at the builder, and returns it. Its Close gives
	// the place back.
	Builder func(context.Context) (*buildkit.Builder, error)
	// Importer does so at the builder that takes steps of others; nil: there is none.
	Importer func(context.Context) (*buildkit.Builder, error)
}

// Each does some work for each app, at the same time. Its error is that of [Group.Run].
func (g *Group) Each(ctx context.Context, names []string, do func(i int, w Work) error) ([]Outcome, error) {
	importers, err := g.importers(len(names)) // of which nothing is started yet
	if err != nil {
		return nil, err
	}
	builders, err := g.open(ctx, len(names))
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		told := &watch{Teller: g.Teller(name)}
		user := builders.User(name, g.Progress(name), told.Note)
		work := Work{Teller: told, Builder: user.Take}
		leave := user.Leave
		if importers != nil {
			importer := importers.User(name, g.Progress(name), told.Note)
			work.Importer = importer.Take
			leave = func() { user.Leave(); importer.Leave() }
		}
		group.Go(func() {
			defer leave()
			start := time.Now()
			err := do(i, work)
			outcomes[i] = outcome(name, err, told.failed, time.Since(start))
		})
	}
	group.Wait()
	err = builders.Closed()
	if importers != nil {
		err = errors.Join(err, importers.Closed())
	}
	if err != nil {
		g.Teller(names[0]).Note("stopping the builder: " + err.Error())
	}
	return outcomes, Judge(outcomes)
}

// importers returns the pool of the builder that takes steps, if there is to be one. It is
// started when the first app needs it.
func (g *Group) importers(users int) (*pool.Pool, error) {
	if g.Importers == nil {
		return nil, nil
	}
	return g.Importers(max(g.Builds, 1), users)
}

// open makes sure that there is a builder.
func (g *Group) open(ctx context.Context, users int) (*pool.Pool, error) {
	builders, err := g.Builders(max(g.Builds, 1), users)
	if err != nil {
		return nil, err
	}
	if err := builders.Reach(ctx); err != nil {
		for range users {
			builders.User("", buildkit.Progress{}, nil).Leave()
		}
		return nil, errors.Join(err, builders.Closed())
	}
	return builders, nil
}

// Judge returns an [*Error] when one of the outcomes has an error.
func Judge(outcomes []Outcome) error {
	if slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Err != nil }) {
		return &Error{outcomes}
	}
	return nil
}

func outcome(name string, err error, step string, took time.Duration) Outcome {
	if err == nil {
		return Outcome{Name: name, State: Done, Took: took}
	}
	return Outcome{Name: name, State: StateOf(err), Step: step, Err: err, Took: took}
}

// StateOf says whether work that failed had begun to write: what was interrupted before that
// is untouched.
func StateOf(err error) State {
	unfinished, ok := errors.AsType[*release.UnfinishedError](err)
	if ok && slices.ContainsFunc(unfinished.Parts, func(p release.Part) bool { return p.State != release.PartLeft }) || !errors.Is(err, context.Canceled) {
		return Failed
	}
	return Untouched
}

// watch is a Teller that keeps which step failed.
type watch struct {
	release.Teller
	failed string
}

// Step implements release.Teller.
func (w *watch) Step(name string) func(string, error) {
	ended := w.Teller.Step(name)
	return func(evidence string, err error) {
		if err != nil {
			w.failed = name
		}
		ended(evidence, err)
	}
}
