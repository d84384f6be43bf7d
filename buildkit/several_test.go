//go:build linux && amd64

package buildkit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/pool"
)

// line is a way to a daemon that can be cut.
type line struct {
	address  string
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	cut      bool
}

// lineTo leads to a daemon at a socket.
func lineTo(t *testing.T, daemon string) *line {
	t.Helper()
	socket := filepath.Join(shortDir(t), "line.sock")
	listener, err := net.Listen("unix", socket)
	check(t, err)
	l := &line{address: "unix://" + socket, listener: listener}
	t.Cleanup(l.end)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			if far, err := net.Dial("unix", strings.TrimPrefix(daemon, "unix://")); err == nil {
				l.join(near, far)
			}
		}
	}()
	return l
}

func (l *line) join(near, far net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, near, far)
	if l.cut {
		_ = errors.Join(near.Close(), far.Close())
		return
	}
	go io.Copy(near, far)
	go io.Copy(far, near)
}

// end cuts it for good.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	_ = l.listener.Close()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// fetching is a source whose step asks a server.
func fetching(t *testing.T, asked func()) buildkit.Source {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked() }))
	t.Cleanup(server.Close)
	src := source(t, "FROM program\nRUN [\"/program\", \"get\", \""+server.URL+"\"]\nCMD [\"/program\", \"print\", \"ran\"]\n", nil)
	src.NoCache = true
	return src
}

// members opens so many daemons, each behind a line.
func members(t *testing.T, n int) (list string, lines map[string]*line) {
	t.Helper()
	lines = map[string]*line{}
	var all []string
	for range n {
		l := lineTo(t, serve(t))
		lines[l.address], all = l, append(all, l.address)
	}
	return strings.Join(all, ","), lines
}

// persist builds as a release does.
func persist(ctx context.Context, b *buildkit.Builder, src buildkit.Source, dir string) (built buildkit.Built, err error) {
	for again := true; again; {
		built, err = b.Build(ctx, src, dir, nil)
		again, err = b.Again(ctx, err)
	}
	return built, err
}

// A builder that is lost in the middle of a build, and again the next one: the third builds
// the image that each of them would have built.
func TestBuilderLostInTheMiddle(t *testing.T) {
	list, lines := members(t, 3)
	var told []string
	b, err := pool.Alone(t.Context(), pool.Spread{Options: buildkit.Options{BuildKitHost: list}}, "app", func(text string) { told = append(told, text) })
	check(t, err)
	defer shut(t, b)
	var order []string
	src := fetching(t, func() {
		order = append(order, b.Name())
		if len(order) < 3 {
			lines[b.Name()].end()
		}
	})
	built, err := persist(t.Context(), b, src, filepath.Join(t.TempDir(), "image"))
	check(t, err)
	if want := pool.Order("app", strings.Split(list, ",")); strings.Join(order, ",") != strings.Join(want, ",") {
		t.Errorf("built by %q, want %q", order, want)
	}
	if len(told) != 2 || !strings.Contains(told[0], order[0]+" is passed over: it was lost during a build: ") || !strings.Contains(told[1], order[1]) {
		t.Errorf("told %q", told)
	}
	equal(t, "manifest", must(built.Image.Digest()), build(t, shared(t), src).manifest())
	equal(t, "run", run(t, b, built.Image), ended{stdout: "ran\n"})
}

// When the last one is lost, each builder's reason is told.
func TestNoBuilderIsLeft(t *testing.T) {
	list, lines := members(t, 2)
	const nobody = "tcp://127.0.0.1:1"
	b, err := pool.Alone(t.Context(), pool.Spread{Options: buildkit.Options{BuildKitHost: list + "," + nobody}}, "app", func(string) {})
	check(t, err)
	defer shut(t, b)
	_, err = persist(t.Context(), b, fetching(t, func() { lines[b.Name()].end() }), filepath.Join(t.TempDir(), "image"))
	none, ok := errors.AsType[*buildkit.NoBuilderError](err)
	if !ok || len(none.Attempts) != 3 {
		t.Fatalf("got %v", err)
	}
	for i, a := range none.Attempts {
		want := "it was lost during a build: "
		if a.Builder == nobody {
			want = "connection refused"
		}
		if i < 2 && lines[a.Builder] == nil || !strings.Contains(a.Problem, want) {
			t.Errorf("%s: %s", a.Builder, a.Problem)
		}
	}
}

// A step that fails by itself is nobody's loss: it is not tried elsewhere.
func TestFailureIsNoLoss(t *testing.T) {
	list, _ := members(t, 2)
	b, err := pool.Alone(t.Context(), pool.Spread{Options: buildkit.Options{BuildKitHost: list}}, "app", func(text string) { t.Error(text) })
	check(t, err)
	defer shut(t, b)
	for _, dockerfile := range []string{"FROM program\nRUN [\"/program\", \"say\", \"\", \"\", \"3\"]\n", "FROM program\nRUN [\"/nothing\"]\n", "FROM program\nCOPY nothing /\n", "FROM 127.0.0.1:1/none\n"} {
		name := b.Name()
		_, err := persist(t.Context(), b, source(t, dockerfile, nil), filepath.Join(t.TempDir(), "image"))
		if _, is := errors.AsType[*buildkit.BuildError](err); !is || b.Name() != name {
			t.Errorf("%q: %v", dockerfile, err)
		}
	}
}

// A builder gets so many builds at a time, and no more; who waits for one that is lost goes
// on elsewhere.
func TestPlacesOfABuilder(t *testing.T) {
	list, _ := members(t, 1)
	p := pool.New(pool.Spread{Options: buildkit.Options{Builders: []buildkit.Remote{{Address: list, Builds: 2}}}}, 9, 3)
	check(t, p.Reach(t.Context()))
	users := make([]*pool.User, 3)
	for i := range users {
		users[i] = p.User("app", buildkit.Progress{}, func(string) {})
	}
	for _, u := range users[:2] {
		must(u.Take(t.Context()))
	}
	ended, stop := context.WithCancel(t.Context())
	taken := make(chan error, 1)
	go func() {
		_, err := users[2].Take(ended)
		taken <- err
	}()
	select {
	case err := <-taken:
		t.Errorf("a third place: %v", err)
	default:
	}
	users[0].Leave()
	users[0].Leave() // which is nobody else's place
	check(t, wait(t, "the place", taken))
	stop()
	users[1].Leave()
	users[2].Leave()
	check(t, p.Closed())
}
