package buildkit

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
)

// BuildError says where in a Dockerfile a build failed, and why.
type BuildError struct {
	// Dockerfile is the path of the file, as the source gave it.
	Dockerfile string
	// Line is the first line, from 1, of the instruction that failed; 0 when
	// the failure is not that of an instruction.
	Line int
	// Instruction is the text of that instruction.
	Instruction string
	// Step is the builder's name for what failed, such as "[2/3] RUN false";
	// empty when the build failed before it ran anything.
	Step string
	// ExitCode is what the command of a RUN step returned, else 0.
	ExitCode int
	// Output is what the step printed last, at most 20 lines of both of its
	// outputs, with the values of secrets masked.
	Output []string
	// Cause says what is at fault where that is known better than by the builder's
	// error, and Cure what mends it; else they are empty.
	Cause, Cure string
	// Log is the path of the file that has all of the display; empty for none.
	Log string
	// Err is the builder's own error.
	Err error
}

// Error implements error.
func (e *BuildError) Error() string {
	if e.ExitCode != 0 && e.Instruction != "" {
		return fmt.Sprintf("building %s: %q: exit code %d", e.place(), e.Instruction, e.ExitCode)
	}
	if e.Cause != "" {
		return fmt.Sprintf("building %s: %s", e.place(), e.Cause)
	}
	return fmt.Sprintf("building %s: %s", e.place(), strings.TrimPrefix(e.Err.Error(), "failed to solve: "))
}

// Evidence returns what failed, and what it printed last.
func (e *BuildError) Evidence() [][2]string {
	var facts [][2]string
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, [2]string{name, value})
		}
	}
	add("where", e.place())
	add("instruction", e.Instruction)
	add("step", e.Step)
	if e.ExitCode != 0 {
		add("exit code", strconv.Itoa(e.ExitCode))
	}
	add("output", strings.Join(e.Output, "\n"))
	add("log", e.Log)
	return facts
}

// Remedy is the cure, where more is known than which step failed.
func (e *BuildError) Remedy() string {
	return cmp.Or(e.Cure, "correct the step above and run again; finished steps are cached")
}

func (e *BuildError) place() string {
	if e.Line == 0 {
		return e.Dockerfile
	}
	return fmt.Sprintf("%s:%d", e.Dockerfile, e.Line)
}

// Unwrap returns the builder's own error.
func (e *BuildError) Unwrap() error { return e.Err }

// explain makes a BuildError of an error of a solve. The details that BuildKit
// attaches to its errors survive their way through gRPC.
func (t *transcript) explain(err error, dockerfile string) *BuildError {
	e := &BuildError{Dockerfile: dockerfile, Err: err}
	if sources := errdefs.Sources(err); len(sources) > 0 {
		e.Line, e.Instruction = instruction(sources[0])
	}
	var vertex *errdefs.VertexError
	if errors.As(err, &vertex) {
		step := digest.Digest(vertex.Digest)
		e.Step, e.Output = t.names[step], t.tails[step]
	}
	var exit *gateway.ExitError
	if errors.As(err, &exit) {
		e.ExitCode = int(exit.ExitCode)
	}
	return e
}

// instruction returns the first line and the text of a place in a Dockerfile.
func instruction(src *errdefs.Source) (line int, text string) {
	if len(src.Ranges) == 0 || src.Info == nil {
		return 0, ""
	}
	// BuildKit has a range for each line of an instruction.
	first, last := src.Ranges[0].Start.Line, src.Ranges[len(src.Ranges)-1].End.Line
	lines := strings.Split(string(src.Info.Data), "\n")
	if first < 1 || int(first) > len(lines) {
		return 0, ""
	}
	last = min(max(first, last), int32(len(lines)))
	return int(first), strings.Join(lines[first-1:last], "\n")
}
