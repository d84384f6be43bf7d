// Package pool spreads apps on several builders. Each app has an order of them that follows
// from names and addresses alone, so that it finds its cache again, and each builder is the
// first one of as many apps. It is given so many builds at a time, and when it is lost its
// apps go on at the next of their order. What is built is the same wherever it is built.
package pool

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/mrelease/mrelease/buildkit"
)

// Order returns the addresses in the order in which an app takes them: by the SHA-256 of its
// name, a zero byte and the address, the largest first (rendezvous hashing). No name is the
// order of the list.
func Order(app string, addresses []string) []string {
	ordered := slices.Clone(addresses)
	if app != "" {
		slices.SortFunc(ordered, func(a, b string) int { return bytes.Compare(weight(app, b), weight(app, a)) })
	}
	return ordered
}

func weight(app, address string) []byte {
	sum := sha256.Sum256([]byte(app + "\x00" + address))
	return sum[:]
}

// Homes returns the address that is the first one of each app: the largest weight of all
// pairs of apps and addresses goes first, and none gets more than its share of the apps,
// rounded up. (Rendezvous hashing alone gives the fullest of four builders a fifth more than
// its share of 100 apps, in the mean, and it is the one that is waited for.)
func Homes(apps, addresses []string) map[string]string {
	type pair struct {
		app, address string
		weight       []byte
	}
	var pairs []pair
	for _, app := range apps {
		for _, address := range addresses {
			pairs = append(pairs, pair{app, address, weight(app, address)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(b.weight, a.weight) })
	homes, taken := map[string]string{}, map[string]int{}
	for _, p := range pairs {
		if _, has := homes[p.app]; !has && taken[p.address]*len(addresses) < len(apps) {
			homes[p.app] = p.address
			taken[p.address]++
		}
	}
	return homes
}

// Spread is what is spread, and on what.
type Spread struct {
	Apps    []string // of the configuration, also those that are not built now; nil for one app
	Options buildkit.Options
}

// Pool is one builder or several. Its zero value has none; see [New].
type Pool struct {
	members map[string]*member // by address
	names   []string
	homes   map[string]string // address that is the first one, by app
	users   sync.WaitGroup
	closing chan error
}

// member is a builder, which is opened when somebody needs it.
type member struct {
	name   string
	open   func(context.Context) (*buildkit.Builder, error)
	places chan struct{} // has one for each build that goes on
	gone   chan struct{} // closed when it is lost
	remote bool

	mu      sync.Mutex // of what follows
	builder *buildkit.Builder
	lost    *buildkit.NoBuilderError
}

// New returns the pool of the builders that the options name, for so many users: when each
// has left, it is closed. A builder is given so many builds at the same time, unless it says
// otherwise itself.
func New(s Spread, builds, users int) *Pool {
	p := &Pool{members: map[string]*member{}, closing: make(chan error, 1)}
	opts := s.Options
	for _, r := range opts.Remotes() {
		one := opts
		one.Builder, one.Builders = r.Address, []buildkit.Remote{r}
		p.add(r.Address, one, cmp.Or(r.Builds, builds)).remote = true
	}
	if len(p.names) == 0 { // embedded, or Docker
		p.add(opts.Builder, opts, builds)
	}
	p.homes = Homes(s.Apps, p.names)
	p.users.Add(users)
	go func() {
		p.users.Wait()
		p.closing <- p.close()
	}()
	return p
}

func (p *Pool) add(name string, opts buildkit.Options, builds int) *member {
	m := &member{name: name, places: make(chan struct{}, max(builds, 1)), gone: make(chan struct{})}
	m.open = func(ctx context.Context) (*buildkit.Builder, error) { return buildkit.Open(ctx, opts) }
	p.members[name], p.names = m, append(p.names, name)
	return m
}

// close closes the builders that were opened.
func (p *Pool) close() error {
	var errs []error
	for _, m := range p.members {
		if m.builder != nil {
			errs = append(errs, m.builder.Close())
		}
	}
	return errors.Join(errs...)
}

// Closed waits until the last user has left and the builders are closed, and returns how
// that went. It can be called once.
func (p *Pool) Closed() error { return <-p.closing }

// Reach makes sure that there is a builder. Its error is a [*buildkit.NoBuilderError] with
// what is wrong with each, when none can be used.
func (p *Pool) Reach(ctx context.Context) error {
	errs := make([]error, len(p.names))
	var group sync.WaitGroup
	for i, name := range p.names {
		group.Go(func() { _, errs[i] = p.members[name].get(ctx) })
	}
	group.Wait()
	for _, err := range errs {
		if _, none := errors.AsType[*buildkit.NoBuilderError](err); err != nil && !none {
			return err
		}
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	return p.none()
}

// none says of each builder why it cannot be used.
func (p *Pool) none() error {
	var all buildkit.NoBuilderError
	for _, name := range p.names {
		m := p.members[name]
		m.mu.Lock()
		if m.lost != nil {
			all.Attempts, all.Command = append(all.Attempts, m.lost.Attempts...), cmp.Or(all.Command, m.lost.Command)
		}
		m.mu.Unlock()
	}
	return &all
}

// get returns the builder, which it opens the first time. What could not be opened, or was
// lost, stays so.
func (m *member) get(ctx context.Context) (*buildkit.Builder, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil {
		return nil, m.lost
	}
	if m.builder != nil {
		return m.builder, nil
	}
	b, err := m.open(ctx)
	if none, ok := errors.AsType[*buildkit.NoBuilderError](err); ok {
		m.lost = none
		close(m.gone)
	}
	if err != nil {
		return nil, err
	}
	m.builder = b
	return b, nil
}

// take waits for a place, and for the builder. It is a [*buildkit.NoBuilderError] when the
// builder is lost, also while it is waited for.
func (m *member) take(ctx context.Context) (*buildkit.Builder, error) {
	select {
	case m.places <- struct{}{}:
	case <-m.gone:
		return m.get(ctx) // which says why
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the builder: %w", ctx.Err())
	}
	b, err := m.get(ctx)
	if err != nil {
		<-m.places
	}
	return b, err
}

// lose keeps why a builder that was there is not used any more.
func (m *member) lose(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost == nil {
		close(m.gone)
		m.lost = &buildkit.NoBuilderError{
			Attempts: []buildkit.Attempt{{Builder: m.name, Problem: "it was lost during a build: " + why.Error()}},
			Command:  "buildctl --addr " + m.name + " debug workers",
		}
	}
}

// User is an app that is built, by whichever builder.
type User struct {
	pool     *Pool
	app      string
	progress buildkit.Progress
	told     func(string)
	passed   map[string]bool // builders that it was told of
	leave    func()
	back     func() error // what the builder's Close does
	at       *member      // where it has a place
}

// User returns one of the users that the pool is for. It shows its builds in a way of its
// own, and is told of builders that are lost. It has to leave.
func (p *Pool) User(app string, progress buildkit.Progress, told func(string)) *User {
	u := &User{pool: p, app: app, progress: progress, told: told, passed: map[string]bool{}}
	u.leave = sync.OnceFunc(func() {
		u.giveBack()
		p.users.Done()
	})
	u.back = func() error { u.leave(); return nil }
	return u
}

// Leave gives the place back. A second call does nothing.
func (u *User) Leave() { u.leave() }

func (u *User) giveBack() {
	if u.at != nil {
		<-u.at.places
		u.at = nil
	}
}

// Take waits for a place at the first builder of the app's order that is not lost. The
// builder's Close gives it back. When no builder is left, the error is a
// [*buildkit.NoBuilderError].
func (u *User) Take(ctx context.Context) (*buildkit.Builder, error) {
	for _, name := range u.pool.order(u.app) {
		m := u.pool.members[name]
		b, err := m.take(ctx)
		if err == nil {
			u.at = m
			return u.lend(b), nil
		}
		none, ok := errors.AsType[*buildkit.NoBuilderError](err)
		if !ok || ctx.Err() != nil {
			return nil, cmp.Or(ctx.Err(), err)
		}
		u.tell(name, none.Attempts)
	}
	return nil, u.pool.none()
}

// order is the order in which an app takes the builders: its home, and then the others.
func (p *Pool) order(app string) []string {
	ordered := Order(app, p.names)
	if home, ok := p.homes[app]; ok {
		i := slices.Index(ordered, home)
		ordered = slices.Insert(slices.Delete(ordered, i, i+1), 0, home)
	}
	return ordered
}

// tell tells of a builder that is passed over, once.
func (u *User) tell(name string, attempts []buildkit.Attempt) {
	if len(u.pool.names) > 1 && !u.passed[name] {
		u.passed[name] = true
		u.told(fmt.Sprintf("the builder %s is passed over: %s", name, attempts[len(attempts)-1].Problem))
	}
}

func (u *User) lend(b *buildkit.Builder) *buildkit.Builder {
	lent := b.Lend(u.progress, u.back)
	if !u.at.remote {
		return lent
	}
	return lent.FollowedBy(func(ctx context.Context, lost error) (*buildkit.Builder, error) {
		u.at.lose(lost)
		u.giveBack()
		return u.Take(ctx)
	})
}

// Alone returns the builder of one app, with all of the pool to itself, which the builder's
// Close closes.
func Alone(ctx context.Context, s Spread, app string, told func(string)) (*buildkit.Builder, error) {
	p := New(s, 1, 1)
	u := p.User(app, s.Options.Progress, told)
	u.back = func() error { u.leave(); return p.Closed() }
	b, err := u.Take(ctx)
	if err != nil {
		u.Leave()
		return nil, cmp.Or(err, p.Closed())
	}
	return b, nil
}
