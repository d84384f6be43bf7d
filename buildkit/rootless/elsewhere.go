//go:build !(linux && amd64)

package rootless

import (
	"context"
	"errors"
	"net"

	"github.com/mrelease/mrelease/buildkit/engine"
)

var errUnsupported = errors.New("starting the builder's process: it needs Linux on amd64")

// Error says why there can be no engine for a user who is not root.
type Error struct{ Problem, Remedy string }

// Error implements error.
func (e *Error) Error() string { return e.Problem }

// IsChild is false: there is no such process on this system.
func IsChild([]string) bool { return false }

// Serve fails on this system.
func Serve() int { return 1 }

// Privileged is true: no user namespace would give this process what it lacks.
func Privileged() bool { return true }

// Launcher starts nothing on this system.
type Launcher struct {
	Path   string
	Getenv func(string) string
}

// Start fails on this system.
func (Launcher) Start(context.Context, engine.Options) (*Engine, error) { return nil, errUnsupported }

// Probe fails on this system.
func (Launcher) Probe(context.Context, string) (string, error) { return "", errUnsupported }

// Remove fails on this system.
func (Launcher) Remove(context.Context, []string, string) error { return errUnsupported }

// Engine is a process, of which there is none on this system.
type Engine struct{}

// Dial fails on this system.
func (*Engine) Dial(context.Context) (net.Conn, error) { return nil, errUnsupported }

// Blobs returns "".
func (*Engine) Blobs() string { return "" }

// Lacks returns nil.
func (*Engine) Lacks() []string { return nil }

// Distrust does nothing.
func (*Engine) Distrust() error { return nil }

// Close does nothing.
func (*Engine) Close() error { return nil }
