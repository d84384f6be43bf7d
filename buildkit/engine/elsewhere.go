//go:build !(linux && amd64)

package engine

import (
	"context"
	"errors"

	"github.com/moby/buildkit/client"
)

// Supported says whether engines run on this system.
const Supported = false

var errUnsupported = errors.New("starting builder: it needs Linux on amd64")

// Engine is a running BuildKit, of which there is none on this system.
type Engine struct{}

// Start fails on this system.
func Start(context.Context, Options) (*Engine, error) { return nil, errUnsupported }

// Clean fails on this system.
func Clean(context.Context, string, string) error { return errUnsupported }

// Layers is "": nothing keeps layers on this system.
func Layers(string) string { return "" }

// Client returns nil.
func (*Engine) Client() *client.Client { return nil }

// Blobs returns "".
func (*Engine) Blobs() string { return "" }

// Distrust does nothing.
func (*Engine) Distrust() error { return nil }

// Lacks returns nil.
func (*Engine) Lacks() []string { return nil }

// Close does nothing.
func (*Engine) Close() error { return nil }

// UseTemporaries fails on this system.
func UseTemporaries(string) error { return errUnsupported }
