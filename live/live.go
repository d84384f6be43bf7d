// Package live shows on a terminal what is running, beneath the lines that stay.
package live

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/morikuni/aec"

	"github.com/mrelease/mrelease/printable"
)

// Display is a terminal's last lines: the step that runs, with the time that it took so
// far, and some lines about it. They are drawn anew ten times a second, and are gone
// when the step has ended. What is written to the display stays, above them.
type Display struct {
	Terminal io.Writer // moves its cursor
	Now      func() time.Time

	mu      sync.Mutex
	running []*step // each within the one before it
	drawn   int     // lines
	partial bool    // the last line that was written was not ended
	hidden  bool
	err     error // the first of Terminal's
	stop    func()
}

type step struct {
	name    string
	since   time.Time
	details []string
}

const (
	every = 100 * time.Millisecond
	// maxDetails is how many lines a step may have, so that a small terminal need not
	// scroll.
	maxDetails = 6
)

// Write implements io.Writer: what is written stays.
func (d *Display) Write(lines []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	erased := d.erase()
	d.partial = len(lines) > 0 && lines[len(lines)-1] != '\n'
	d.write(erased + string(lines) + d.draw())
	return len(lines), d.err
}

// Begin shows that a step runs, until end is called.
func (d *Display) Begin(name string) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &step{name: name, since: d.Now()}
	d.running = append(d.running, s)
	if len(d.running) == 1 {
		d.start()
	}
	d.redraw()
	return func() { d.end(s) }
}

func (d *Display) end(s *step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range d.running {
		if r == s {
			d.running = append(d.running[:i:i], d.running[i+1:]...)
		}
	}
	if len(d.running) == 0 {
		d.stop()
	}
	d.redraw()
}

// Detail shows lines under the step that runs, in place of those before.
func (d *Display) Detail(lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.running) > 0 {
		d.running[len(d.running)-1].details = lines
	}
}

// Hide leaves the terminal to another display that moves the cursor.
func (d *Display) Hide() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write(d.erase())
	d.hidden = true
}

// start draws again and again, until stop.
func (d *Display) start() {
	ticker, stopped := time.NewTicker(every), make(chan struct{})
	d.stop = func() {
		ticker.Stop()
		close(stopped)
	}
	go func() {
		for {
			select {
			case <-stopped:
				return
			case <-ticker.C:
				d.mu.Lock()
				d.redraw()
				d.mu.Unlock()
			}
		}
	}()
}

func (d *Display) redraw() {
	erased := d.erase()
	d.write(erased + d.draw())
}

// erase returns what takes the lines away, and leaves the cursor where they began.
func (d *Display) erase() string {
	if d.drawn == 0 {
		return ""
	}
	up := aec.EmptyBuilder.Up(uint(d.drawn)).Column(0).EraseDisplay(aec.EraseModes.Tail).ANSI.String()
	d.drawn = 0
	return up
}

// draw returns the last step's lines. The terminal is told not to break lines that are
// longer than it is wide, or more would have to be erased than are counted here.
func (d *Display) draw() string {
	if len(d.running) == 0 || d.partial || d.hidden {
		return ""
	}
	s := d.running[len(d.running)-1]
	lines := []string{fmt.Sprintf("• %-12s %5.1f s", s.name, d.Now().Sub(s.since).Seconds())}
	for _, detail := range s.details[max(0, len(s.details)-maxDetails):] {
		lines = append(lines, "    "+printable.Text(detail))
	}
	d.drawn = len(lines)
	return noWrap + strings.Join(lines, "\n") + "\n" + wrap
}

// The terminal's modes: ECMA-48 has none for this, DEC's DECAWM is what terminals know.
const (
	noWrap = "\x1b[?7l"
	wrap   = "\x1b[?7h"
)

func (d *Display) write(text string) {
	if _, err := io.WriteString(d.Terminal, text); err != nil && d.err == nil {
		d.err = fmt.Errorf("writing to terminal: %w", err)
	}
}
