//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"
)

// onTerminal returns what a command writes to a terminal.
func onTerminal(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	terminal, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	screen, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan []byte)
	go func() {
		var all bytes.Buffer
		_, _ = io.Copy(&all, terminal) // until the other side is closed, which is an error
		shown <- all.Bytes()
	}()
	run(t.Context(), args, func(name string) string { return env[name] }, screen, screen)
	if err := screen.Close(); err != nil {
		t.Fatal(err)
	}
	return string(<-shown)
}

// A terminal gets colours, unless it is dumb or they are not wanted; and a display that
// moves the cursor, unless it is dumb.
func TestTerminals(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Dockerfile", []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		term, noColor  string
		colours, moves bool
	}{{"xterm", "", true, true}, {"dumb", "", false, false}, {"xterm", "1", false, true}, {"", "", true, true}} {
		env := map[string]string{"TERM": c.term, "NO_COLOR": c.noColor}
		if shown := onTerminal(t, env, "check"); strings.Contains(shown, "\x1b[") != c.colours || !strings.Contains(shown, "E-CONFIG") {
			t.Errorf("TERM=%s NO_COLOR=%s: %q", c.term, c.noColor, shown)
		}
		if c.moves != terminalMoves(t, env) {
			t.Errorf("TERM=%s NO_COLOR=%s: the display moves: %t", c.term, c.noColor, !c.moves)
		}
	}
}

func terminalMoves(t *testing.T, env map[string]string) bool {
	t.Helper()
	terminal, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	screen, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	a := newApp(func(name string) string { return env[name] }, screen, screen)
	a.build.progress = "auto"
	p := a.progress()
	return a.story.live != nil && p.Running != nil
}
