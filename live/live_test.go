package live

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tonistiigi/vt100"
)

// screen is a terminal as it is seen.
type screen struct {
	mu sync.Mutex
	*vt100.VT100
	raw bytes.Buffer
}

func newScreen(rows, columns int) *screen { return &screen{VT100: vt100.NewVT100(rows, columns)} }

// Write translates line ends, as a terminal's line discipline does. The emulator does
// not know the mode in which lines are not broken, but cuts them.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(p)
	text := strings.NewReplacer("\n", "\r\n", noWrap, "", wrap, "").Replace(string(p))
	if _, err := s.VT100.Write([]byte(text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *screen) lines() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.Content {
		if text := strings.TrimRight(string(row), " \x00"); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

func (s *screen) check(t *testing.T, want ...string) {
	t.Helper()
	if got := s.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the screen shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A step's lines are gone when it has ended, and what was written stays.
func TestDisplayOfSteps(t *testing.T) {
	s := newScreen(20, 60)
	now := time.Unix(1_700_000_000, 0)
	var clock sync.Mutex
	d := &Display{Terminal: s, Now: func() time.Time { clock.Lock(); defer clock.Unlock(); return now }}
	fmt.Fprintln(d, "before")
	end := d.Begin("build")
	s.check(t, "before", "• build          0.0 s")
	clock.Lock()
	now = now.Add(2500 * time.Millisecond)
	clock.Unlock()
	d.Detail([]string{"[1/2] FROM base", "[2/2] RUN \x1b[31mred"})
	waitFor(t, func() bool { return len(s.lines()) == 4 })
	s.check(t, "before", "• build          2.5 s", "    [1/2] FROM base", `    [2/2] RUN \x1b[31mred`)
	fmt.Fprintln(d, "a note")
	s.check(t, "before", "a note", "• build          2.5 s", "    [1/2] FROM base", `    [2/2] RUN \x1b[31mred`)
	within := d.Begin("seal")
	s.check(t, "before", "a note", "• seal           0.0 s")
	within()
	d.Detail([]string{"1", "2", "3", "4", "5", "6", "7"})
	waitFor(t, func() bool { return len(s.lines()) == 3+maxDetails })
	end()
	fmt.Fprintln(d, "✓ build")
	s.check(t, "before", "a note", "✓ build")
	written := s.raw.Len()
	time.Sleep(3 * every)
	if s.raw.Len() != written {
		t.Error("it is drawn when nothing runs")
	}
}

// What is not a whole line is not drawn over.
func TestDisplayOfPartialLines(t *testing.T) {
	s := newScreen(20, 60)
	d := &Display{Terminal: s, Now: time.Now}
	end := d.Begin("build")
	fmt.Fprint(d, "half")
	time.Sleep(2 * every)
	s.check(t, "half")
	fmt.Fprintln(d, " and half")
	end()
	s.check(t, "half and half")
}

func TestDisplayOfBrokenTerminal(t *testing.T) {
	d := &Display{Terminal: broken{}, Now: time.Now}
	if _, err := fmt.Fprintln(d, "x"); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func waitFor(t *testing.T, there func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came")
		}
	}
}
