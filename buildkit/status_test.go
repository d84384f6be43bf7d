package buildkit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

const step = digest.Digest(zero)

// printed is a status in which a step printed something.
func printed(fd int, text string) *client.SolveStatus {
	return &client.SolveStatus{
		Vertexes: []*client.Vertex{{Digest: step, Name: "a step"}},
		Logs:     []*client.VertexLog{{Vertex: step, Stream: fd, Data: []byte(text)}},
	}
}

func completed() *client.SolveStatus {
	now := time.Now()
	return &client.SolveStatus{Vertexes: []*client.Vertex{{Digest: step, Name: "a step", Completed: &now}}}
}

// transcribe follows a step that prints text in pieces, each to the output that
// its first byte names, and returns the log. The display must say the same.
func transcribe(t *testing.T, secrets map[string][]byte, pieces ...string) (string, *transcript) {
	t.Helper()
	var log bytes.Buffer
	tr := newTranscript(&log, secrets)
	statuses := []*client.SolveStatus{}
	for _, piece := range pieces {
		statuses = append(statuses, printed(int(piece[0]-'0'), piece[1:]))
	}
	var shown strings.Builder
	for _, status := range append(statuses, completed()) {
		tr.update(status)
		for _, l := range status.Logs {
			shown.Write(l.Data)
		}
	}
	if shown.String() != log.String() {
		t.Errorf("the display shows %q, the log has %q", &shown, &log)
	}
	return log.String(), tr
}

func TestTranscriptWritesWholeMaskedLines(t *testing.T) {
	one := map[string][]byte{"a": []byte("topsecret")}
	for name, c := range map[string]struct {
		secrets map[string][]byte
		pieces  []string
		want    string
	}{
		"lines":                  {nil, []string{"1one\ntwo\n"}, "one\ntwo\n"},
		"pieces of a line":       {nil, []string{"1on", "1e\ntw", "1o"}, "one\ntwo\n"},
		"two outputs":            {nil, []string{"1on", "2err\n", "1e\n"}, "err\none\n"},
		"a secret":               {one, []string{"1a topsecret.\n"}, "a ***.\n"},
		"a secret in pieces":     {one, []string{"1a top", "1sec", "1ret.\n"}, "a ***.\n"},
		"a secret at the end":    {one, []string{"1topse", "1cret"}, "***\n"},
		"a secret of two lines":  {map[string][]byte{"a": []byte("first line\r\n second line\n")}, []string{"1> first line\n> second line\n"}, "> ***\n> ***\n"},
		"the longer secret":      {map[string][]byte{"a": []byte("secret"), "b": []byte("secret too")}, []string{"1secret too, secret\n"}, "***, ***\n"},
		"what is no secret":      {map[string][]byte{"a": []byte("abc"), "b": nil}, []string{"1abcd\n"}, "abcd\n"},
		"an empty line":          {nil, []string{"1\n\n"}, "\n\n"},
		"a secret, both outputs": {one, []string{"1topse", "2topsecret\n", "1cret\n"}, "***\n***\n"},
	} {
		if got, _ := transcribe(t, c.secrets, c.pieces...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTranscriptKeepsTheLastLines(t *testing.T) {
	var pieces []string
	for i := range 50 {
		pieces = append(pieces, fmt.Sprintf("1line %d\n", i))
	}
	_, tr := transcribe(t, nil, append(pieces, "2cut off")...)
	tail := tr.tails[step]
	if len(tail) != tailLines || tail[0] != "line 31" || tail[tailLines-1] != "cut off" {
		t.Errorf("tail of %d lines: %q", len(tail), tail)
	}
}

// A step that is cancelled never completes; what it printed is still due.
func TestTranscriptFlushesWhatNeverCompleted(t *testing.T) {
	var log bytes.Buffer
	tr := newTranscript(&log, map[string][]byte{"a": []byte("topsecret")})
	tr.update(printed(1, "halfway topsecret"))
	rest := tr.rest()
	if log.String() != "halfway ***\n" || len(rest) != 1 {
		t.Errorf("log %q and %d pieces, want the masked line", &log, len(rest))
	}
}

func TestProgressModes(t *testing.T) {
	for mode, works := range map[string]bool{"": true, "auto": true, "plain": true, "quiet": true, "tty": false, "loud": false} {
		_, err := Progress{Writer: &bytes.Buffer{}, Mode: mode}.display()
		if (err == nil) != works {
			t.Errorf("mode %q without a terminal: %v", mode, err)
		}
	}
	if _, err := (Progress{Mode: "tty"}).display(); err != nil {
		t.Errorf("no writer: %v, want nothing shown", err)
	}
}

func TestBuildErrorText(t *testing.T) {
	cause := fmt.Errorf("failed to solve: no such thing")
	for want, e := range map[string]*BuildError{
		`building D:3: "RUN false": exit code 7`: {Dockerfile: "D", Line: 3, Instruction: "RUN false", ExitCode: 7, Err: cause},
		`building D: no such thing`:              {Dockerfile: "D", ExitCode: 1, Err: cause},
		`building D:3: no such thing`:            {Dockerfile: "D", Line: 3, Instruction: "COPY", Err: cause},
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e, want)
		}
	}
	facts := (&BuildError{Dockerfile: "D", Output: []string{"a", "b"}, Err: cause}).Evidence()
	if want := [][2]string{{"where", "D"}, {"output", "a\nb"}}; !slices.Equal(facts, want) {
		t.Errorf("evidence %q, want %q", facts, want)
	}
}
