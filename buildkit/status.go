package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/printable"
)

const (
	// tailLines is how much of a failing step's output an error carries.
	tailLines = 20
)

// Progress says where and how the builder's display is shown.
type Progress struct {
	// Writer receives the display; nil shows nothing.
	Writer io.Writer
	// Mode is "plain", "tty" (which fails when Writer is no terminal),
	// "quiet", or "auto", also spelt "": a terminal's display if Writer is a
	// terminal, else plain lines.
	Mode string
	// Log has the display, as plain lines, in a file beside the folder of what is made,
	// with the folder's name and ".log", and not on Writer.
	Log bool
	// Running, unless it is nil, is told again and again which steps run: a line for
	// each, which can be shown.
	Running func(lines []string)
}

// to returns the Progress of what is made in the folder dir, and its log.
func (p Progress) to(dir string) (Progress, *logFile) {
	log := logBeside(dir)
	if p.Log {
		p.Writer, p.Mode = log, "plain"
	}
	return p, log
}

func (p Progress) display() (progressui.Display, error) {
	mode := progressui.DisplayMode(p.Mode)
	if p.Writer == nil {
		mode = progressui.QuietMode
	}
	display, err := progressui.NewDisplay(p.Writer, mode)
	if err != nil {
		return progressui.Display{}, fmt.Errorf("opening progress display: %w", err)
	}
	return display, nil
}

// transcript follows what the steps of a build print. It writes whole lines to
// a log, keeps the last ones of each step, and masks secrets in all of them.
type transcript struct {
	log     io.Writer
	failed  error // of log
	secrets *strings.Replacer
	hides   bool         // the text of the Dockerfile, which names of steps and warnings quote
	want    func() error // waits until the build may be seen; nil: it may. An error: it never may
	names   map[digest.Digest]string
	tails   map[digest.Digest][]string
	partial map[stream][]byte
}

// stream is one of a step's two outputs.
type stream struct {
	step digest.Digest
	fd   int
}

func newTranscript(log io.Writer, secrets map[string][]byte) *transcript {
	if log == nil {
		log = io.Discard
	}
	return &transcript{
		log:     log,
		secrets: masker(secrets),
		names:   map[digest.Digest]string{},
		tails:   map[digest.Digest][]string{},
		partial: map[stream][]byte{},
	}
}

// masker replaces each secret, and what it looks like in base64, hex and URLs.
func masker(secrets map[string][]byte) *strings.Replacer {
	var all []string
	for _, secret := range secrets {
		all = append(all, string(secret))
	}
	return printable.Hider(all...)
}

// update takes note of a status and replaces the pieces of output in it by
// whole, masked lines. All text in it is made such that a display can show it: names of
// steps are the Dockerfile's, and of files to load a registry's.
func (t *transcript) update(status *client.SolveStatus) {
	var whole []*client.VertexLog
	for _, log := range status.Logs {
		key := stream{log.Vertex, log.Stream}
		data := append(t.partial[key], log.Data...)
		end := bytes.LastIndexByte(data, '\n') + 1
		t.partial[key] = data[end:]
		whole = t.emit(whole, *log, data[:end])
	}
	for _, vertex := range status.Vertexes {
		t.names[vertex.Digest] = vertex.Name
		if vertex.Completed != nil {
			whole = append(whole, t.flush(vertex.Digest)...)
		}
	}
	status.Logs = whole
	if t.hides {
		hideText(status)
	}
	t.show(status)
}

// show makes all text of a status one that can be shown.
func (t *transcript) show(status *client.SolveStatus) {
	text := func(s string) string { return printable.Text(t.secrets.Replace(s)) }
	for _, v := range status.Vertexes {
		v.Name, v.Error = text(v.Name), text(v.Error)
		if g := v.ProgressGroup; g != nil {
			g.Name = text(g.Name)
		}
	}
	for _, s := range status.Statuses {
		s.ID, s.Name = text(s.ID), text(s.Name)
	}
	for _, w := range status.Warnings {
		w.Short, w.URL = []byte(text(string(w.Short))), text(w.URL)
		for i, detail := range w.Detail {
			w.Detail[i] = []byte(text(string(detail)))
		}
		if w.SourceInfo != nil {
			w.SourceInfo.Data = []byte(printable.Lines(string(w.SourceInfo.Data)))
		}
	}
}

// flush returns what a step printed after its last line end.
func (t *transcript) flush(step digest.Digest) []*client.VertexLog {
	var rest []*client.VertexLog
	for _, fd := range []int{1, 2} {
		key := stream{step, fd}
		if data := t.partial[key]; len(data) > 0 {
			rest = t.emit(rest, client.VertexLog{Vertex: step, Stream: fd}, append(data, '\n'))
		}
		delete(t.partial, key)
	}
	return rest
}

// rest flushes the steps that never completed, such as cancelled ones.
func (t *transcript) rest() []*client.VertexLog {
	var logs []*client.VertexLog
	for _, step := range slices.Sorted(maps.Keys(t.names)) {
		logs = append(logs, t.flush(step)...)
	}
	return logs
}

// emit writes whole lines to the log and the tail, and appends them to logs.
func (t *transcript) emit(logs []*client.VertexLog, log client.VertexLog, lines []byte) []*client.VertexLog {
	if len(lines) == 0 {
		return logs
	}
	text := t.secrets.Replace(string(lines))
	if _, err := io.WriteString(t.log, text); err != nil && t.failed == nil {
		t.failed = fmt.Errorf("writing build log: %w", err)
	}
	tail := append(t.tails[log.Vertex], strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	t.tails[log.Vertex] = tail[max(0, len(tail)-tailLines):]
	log.Data = []byte(printable.Lines(text))
	return append(logs, &log)
}

// follow runs a solve beside its display and returns when both have ended. The
// display is drained to the end even if ctx ends first: the solve blocks on it.
func follow(ctx context.Context, p Progress, t *transcript, solve func(chan *client.SolveStatus) error) error {
	display, err := p.display()
	if err != nil {
		return err
	}
	received := make(chan *client.SolveStatus)
	shown := make(chan *client.SolveStatus)
	var group errgroup.Group
	group.Go(func() error {
		held, seen := hold(shown, t.want)
		if !seen {
			return nil
		}
		if p.Running != nil {
			held = watched(held, &running{tell: p.Running})
		}
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), held)
		return err
	})
	group.Go(func() error {
		defer close(shown)
		for status := range received {
			t.update(status)
			shown <- status
		}
		shown <- &client.SolveStatus{Logs: t.rest()}
		return t.failed
	})
	err = solve(received)
	return cmp.Or(err, group.Wait())
}

// hold keeps what comes until it may be seen, and returns it with what comes after. If
// it never may be seen, it is drained.
func hold(from <-chan *client.SolveStatus, want func() error) (chan *client.SolveStatus, bool) {
	if want == nil {
		want = func() error { return nil }
	}
	wanted := make(chan error, 1)
	go func() { wanted <- want() }()
	var kept []*client.SolveStatus
	for open := true; ; {
		next := from
		if !open {
			next = nil
		}
		select {
		case err := <-wanted:
			if err == nil {
				return both(kept, from), true
			}
			for range from {
			}
			return nil, false
		case status, ok := <-next:
			if open = ok; ok {
				kept = append(kept, status)
			}
		}
	}
}

// both sends what was kept, and then what comes.
func both(kept []*client.SolveStatus, from <-chan *client.SolveStatus) chan *client.SolveStatus {
	all := make(chan *client.SolveStatus)
	go func() {
		defer close(all)
		for _, status := range kept {
			all <- status
		}
		for status := range from {
			all <- status
		}
	}()
	return all
}

// watched sends on what comes, when who watches has seen it.
func watched(from chan *client.SolveStatus, r *running) chan *client.SolveStatus {
	to := make(chan *client.SolveStatus)
	go func() {
		defer close(to)
		for status := range from {
			r.update(status)
			to <- status
		}
	}()
	return to
}
