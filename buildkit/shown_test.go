//go:build linux && amd64

package buildkit

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/console"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mrelease/mrelease/printable"
)

// title sets a terminal's title, which no display of BuildKit's does.
const title = "\x1b]0;evil\x07\r::add-mask::x\n##[add-mask]y \u202eaz"

// strange is a status in which each text is a stranger's.
func strange() *client.SolveStatus {
	now := time.Now()
	group := &pb.ProgressGroup{Id: "g", Name: "group" + title}
	return &client.SolveStatus{
		Vertexes: []*client.Vertex{
			{Digest: step, Name: "step" + title, Started: &now, Completed: &now, Error: "error" + title},
			{Digest: digest.FromString("b"), Name: "b" + title, Started: &now, Completed: &now, ProgressGroup: group},
		},
		Statuses: []*client.VertexStatus{{ID: "file" + title, Vertex: step, Name: "name" + title, Started: &now, Completed: &now, Timestamp: now}},
		Logs:     []*client.VertexLog{{Vertex: step, Stream: 1, Data: []byte("output" + title + "\n"), Timestamp: now}},
		Warnings: []*client.VertexWarning{{
			Vertex: step, Short: []byte("short" + title), Detail: [][]byte{[]byte("detail" + title)}, URL: "url" + title,
			SourceInfo: &pb.SourceInfo{Filename: "Dockerfile", Data: []byte("RUN " + title)}, Range: []*pb.Range{{Start: &pb.Position{Line: 1}, End: &pb.Position{Line: 1}}},
		}},
	}
}

func showStrange(t *testing.T, p Progress) *transcript {
	t.Helper()
	var log bytes.Buffer
	tr := newTranscript(&log, nil)
	err := follow(context.Background(), p, tr, func(status chan *client.SolveStatus) error {
		defer close(status)
		status <- strange()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "output" + title + "\n"; log.String() != want {
		t.Errorf("the log has %q, want what was printed", &log)
	}
	return tr
}

// A display that moves the cursor shows nothing of a stranger's that does so.
func TestAttackTerminalsDisplay(t *testing.T) {
	master, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(master) // fails when the other end is closed
		read <- string(text)
	}()
	showStrange(t, Progress{Writer: slave, Mode: "tty"})
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	shown := <-read
	if !strings.Contains(shown, "evil") || !strings.Contains(shown, "\x1b[") {
		t.Errorf("the display shows nothing: %q", shown)
	}
	for _, raw := range []string{"\x1b]", "\x07", "\u202e", "##[", "\r::"} {
		if strings.Contains(shown, raw) {
			t.Errorf("the display shows %q in %q", raw, shown)
		}
	}
}

// So does one of plain lines.
func TestAttackPlainDisplay(t *testing.T) {
	var shown bytes.Buffer
	w := printable.NewWriter(&shown)
	showStrange(t, Progress{Writer: w, Mode: "plain"})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if text := shown.String(); !strings.Contains(text, "evil") || text != printable.Lines(text) {
		t.Errorf("the display shows %q", text)
	}
}
