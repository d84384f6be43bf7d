// Package silence takes over the loggers of the libraries that are linked. What they
// log is for whoever debugs them: this program says itself what happened, and what
// others say is shown as package printable makes it, or not at all.
//
// Some libraries hold standard error since before main began; those are named here.
// What the rest writes goes to the variables os.Stdout and os.Stderr, which a program
// sets to a file that takes everything (see [Streams]).
package silence

import (
	"io"
	"log"
	"os"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// Libraries lets no library's logger write: net/http's and with it that of HTTP/2, and
// slog's, which both are package log's; grpc's, OpenTelemetry's, and logrus, which
// BuildKit and containerd use and a builder sets anew (engine.Quiet).
func Libraries() {
	log.SetOutput(io.Discard)
	logrus.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
}

// Streams returns the standard streams, and leaves in their place what takes all that
// is written to it: for the main function of a program that hands them on.
// Where there is no such file, as in a container without /dev, they stay.
func Streams() (stdout, stderr *os.File) {
	stdout, stderr = os.Stdout, os.Stderr
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout, os.Stderr = null, null
	}
	return stdout, stderr
}
