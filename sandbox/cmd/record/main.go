// Command record makes a recording of a terminal, as players show it, of what script
// from util-linux kept of a session: the output, and after how long which bytes of it
// came.
//
//	script -q -e -O OUT -T TIMING -c COMMAND
//	record -title TITLE -columns 120 -rows 36 OUT TIMING > FILE.cast
//
// The format is asciicast v2: a line with the head, then one for each piece of output.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// head is the first line of a recording.
type head struct {
	Version int               `json:"version"`
	Width   int               `json:"width"`
	Height  int               `json:"height"`
	Title   string            `json:"title"`
	Idle    float64           `json:"idle_time_limit"` // seconds without output that a player waits at most
	Env     map[string]string `json:"env"`
}

func main() {
	h := head{Version: 2, Idle: 2, Env: map[string]string{"TERM": "xterm-256color"}}
	flag.StringVar(&h.Title, "title", "", "what is shown")
	flag.IntVar(&h.Width, "columns", 120, "columns of the terminal")
	flag.IntVar(&h.Height, "rows", 36, "rows of the terminal")
	flag.Parse()
	if err := h.record(flag.Arg(0), flag.Arg(1), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func (h head) record(outputFile, timingFile string, to io.Writer) error {
	output, err := os.ReadFile(outputFile)
	if err != nil {
		return err
	}
	timing, err := os.ReadFile(timingFile)
	if err != nil {
		return err
	}
	if _, after, ok := bytes.Cut(output, []byte("\n")); ok && bytes.HasPrefix(output, []byte("Script started")) {
		output = after
	}
	w := bufio.NewWriter(to)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return err
	}
	if err := pieces(output, timing, func(at float64, text string) error {
		return enc.Encode([]any{at, "o", text})
	}); err != nil {
		return err
	}
	return w.Flush()
}

// grain is what time is told in, in seconds: what comes within it is one piece.
const grain = 0.02

// pieces gives each piece of the output with its time. A letter that came in two parts
// is whole in the second.
func pieces(output, timing []byte, give func(at float64, text string) error) error {
	var now, began float64
	var pending []byte
	flush := func() error {
		whole := len(pending)
		for whole > 0 && whole > len(pending)-utf8.UTFMax && !utf8.Valid(pending[:whole]) {
			whole--
		}
		text := string(pending[:whole])
		pending = bytes.Clone(pending[whole:])
		if text == "" {
			return nil
		}
		return give(began, text)
	}
	for line := range bytes.Lines(timing) {
		var delay float64
		var n int
		if _, err := fmt.Sscan(string(line), &delay, &n); err != nil {
			return fmt.Errorf("reading timing %q: %w", line, err)
		}
		if n > len(output) {
			return fmt.Errorf("reading output: %d bytes are left, and the timing has %d", len(output), n)
		}
		if now += delay; now-began > grain {
			if err := flush(); err != nil {
				return err
			}
			began = float64(int(now*100)) / 100
		}
		pending, output = append(pending, output[:n]...), output[n:]
	}
	return flush()
}
