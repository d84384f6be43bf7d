//go:build linux && amd64

package rootless

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit/engine"
)

func TestMessagesCarryFiles(t *testing.T) {
	ours, theirs := pair(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ours.send(message{Connect: true}, f), ours.send(message{Event: done}, nil), f.Close()); err != nil {
		t.Fatal(err)
	}
	m, with, err := theirs.receive()
	if err != nil || !m.Connect || with == nil {
		t.Fatalf("got %+v, %v, %v", m, with, err)
	}
	if got, err := io.ReadAll(with); err != nil || string(got) != "content" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := with.Close(); err != nil {
		t.Error(err)
	}
	if m, with, err = theirs.receive(); err != nil || m.Event != done || with != nil {
		t.Errorf("got %+v, %v, %v", m, with, err)
	}
}

func TestTheEndOfTheOtherIsSeen(t *testing.T) {
	ours, theirs := pair(t)
	if err := ours.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if m, _, err := theirs.receive(); err == nil {
		t.Errorf("got %+v from nobody", m)
	}
}

func TestFaultsStayWhatTheyAre(t *testing.T) {
	var foreign *engine.ForeignError
	if err := newFault(&engine.ForeignError{Path: "/state", Problem: "it is a symbolic link"}).err(); !errors.As(err, &foreign) || foreign.Path != "/state" {
		t.Errorf("got %v", err)
	}
	ours, theirs := pair(t)
	if err := ours.send(message{Failed: newFault(errors.New(strings.Repeat("\x00", 1<<20)))}, nil); err != nil {
		t.Fatal(err)
	}
	if m, _, err := theirs.receive(); err != nil || m.Failed == nil || !strings.HasPrefix(m.Failed.err().Error(), "\x00") {
		t.Errorf("a long text came as %+v, %v", m, err)
	}
}

func pair(t *testing.T) (ours, theirs socket) {
	t.Helper()
	ours, file, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = openSocket(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(ours.conn.Close(), theirs.conn.Close()) }) // some close them themselves
	return ours, theirs
}
