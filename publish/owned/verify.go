package owned

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

const (
	// parallel is how many apps are verified at the same time.
	parallel = 8
	// window is how many may wait, verified, for a slower one before them.
	window = 64
	// leading is the link that is told of an app from which nothing leads to a release.
	leading = "app"
)

// Verify verifies the apps of an owner as of the chain's last block, the newest first, as
// [apps.Owned] has them, and calls see with each, in that order. With a reason in w.NoLayers
// each has some minutes, else an hour. Beside the apps that are told of next it keeps none.
//
// Errors: *NoneError; *node.RPCError and *bounds.Error where no app could be enumerated; the
// context's, and see's, which ends it. Where enumerating ends later, Tally.Stopped says why.
func Verify(ctx context.Context, w record.World, owner common.Address, see func(App, node.Block) error) (t Tally, err error) {
	t = newTally(owner, w.Chain.Name)
	chain, block, err := w.Chain.AtHead(ctx)
	if err != nil {
		return t, err
	}
	w.Chain = chain
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := newLine(w)
	l.group.Go(func() error { return l.fill(ctx, owner) })
	for place := range l.places {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case app := <-place:
			if err = ctx.Err(); err == nil { // else it was broken off
				t.add(app)
				err = see(app, block)
			}
		}
		if err != nil {
			break
		}
	}
	stop()
	for range l.places { // nobody waits for what is left
	}
	switch ended := l.group.Wait(); {
	case err != nil:
	case errors.Is(ended, context.Canceled), t.Apps == 0 && ended != nil:
		err = ended
	case t.Apps == 0:
		err = &NoneError{owner, w.Chain.Name, block}
	default:
		t.Stopped = ended
	}
	return t, err
}

// line is the apps that are verified, in order.
type line struct {
	world   record.World
	group   errgroup.Group
	places  chan chan App
	clients chan registry.Client // whoever verifies has one
}

func newLine(w record.World) *line {
	l := &line{world: w, places: make(chan chan App, window), clients: make(chan registry.Client, parallel)}
	for range parallel {
		l.clients <- w.Registry.Remembering()
	}
	return l
}

// fill has the apps verified, one after the other. Its error is why there are no more.
func (l *line) fill(ctx context.Context, owner common.Address) error {
	defer close(l.places)
	for reg, err := range apps.Owned(ctx, l.world.Chain, owner, bounds.Fleet) {
		if err != nil && reg.Address == (common.Address{}) {
			return err
		}
		place := make(chan App, 1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case l.places <- place:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case client := <-l.clients:
			l.group.Go(func() error {
				place <- l.verify(ctx, client, reg, err)
				client.Forget()
				l.clients <- client
				return nil
			})
		}
	}
	return nil
}

// verify verifies one app; unread is why its fields could not be read.
func (l *line) verify(ctx context.Context, client registry.Client, reg apps.Registration, unread error) App {
	a := App{Registration: reg}
	w, most := l.world, bounds.OneOfFleet
	if w.Registry = client; w.NoLayers == nil {
		most = bounds.Act
	}
	err := unread
	if err == nil {
		err = bounds.Within(ctx, most, "verifying the app", func(ctx context.Context) error { return a.look(ctx, w) })
	}
	slow, late := errors.AsType[*bounds.SlowError](err)
	for i, c := range a.Checks {
		if late && errors.Is(c.Err, context.DeadlineExceeded) {
			a.Checks[i].Err = slow
		}
	}
	if len(a.Checks) == 0 {
		a.Subject.Missing = err
		a.Checks = []record.Check{{Name: leading, Err: err}}
	}
	a.judge()
	return a
}

// look goes from the app to its record, and looks at each link. Its error is why nothing
// leads to a release, or that of a context that ended.
func (a *App) look(ctx context.Context, w record.World) (err error) {
	if a.Subject, err = record.SeekOf(ctx, w, a.Registration); err != nil {
		return err
	}
	_ = record.Verify(ctx, w, a.Subject, func(c record.Check) { a.Checks = append(a.Checks, c) }) // each has its own error
	return ctx.Err()
}
