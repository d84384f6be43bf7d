package buildkit

import (
	"fmt"
	"strings"
)

// ToolchainProblem is why the image with the seal's tools, or a scanner's, cannot be used.
type ToolchainProblem string

const (
	ToolchainMissing     ToolchainProblem = "the registry does not have it"
	ToolchainRefused     ToolchainProblem = "the registry wants a login that may read it"
	ToolchainUnreachable ToolchainProblem = "its registry does not answer"
	ToolchainForeign     ToolchainProblem = "it is for another architecture than " + platform
)

// ToolchainError says that the toolchain of a seal, or a scanner, cannot be used.
type ToolchainError struct {
	What, Key string // what it is, and the key of the configuration that names it
	Toolchain string // as in Seal and Scan
	Problem   ToolchainProblem
	Err       *BuildError // the step that needed it
}

// Error implements error.
func (e *ToolchainError) Error() string {
	return fmt.Sprintf("the %s %s cannot be used: %s", e.What, e.Toolchain, e.Problem)
}

// Unwrap returns the builder's own error.
func (e *ToolchainError) Unwrap() error { return e.Err }

// Evidence returns the image and what the builder said.
func (e *ToolchainError) Evidence() [][2]string {
	because := strings.Join(e.Err.Output, "\n")
	if because == "" {
		because = e.Err.Err.Error()
	}
	return [][2]string{{e.What, e.Toolchain}, {"problem", string(e.Problem)}, {"because", because}}
}

// Remedy is what brings a toolchain that can be used.
func (e *ToolchainError) Remedy() string {
	switch e.Problem {
	case ToolchainRefused:
		registry, _, _ := strings.Cut(strings.TrimPrefix(e.Toolchain, schemeImage), "/")
		return "docker login " + registry + " (as a user who may read the image)"
	case ToolchainForeign:
		return "give " + e.Key + " the digest of its linux/amd64 image"
	case ToolchainUnreachable:
		return "check the address in " + e.Key + ", and the network"
	}
	return "correct " + e.Key + ": the registry has no image of that name and digest"
}

// loadToolchain is the name of the step that brings the toolchain.
const loadToolchain = "load toolchain"

// explain tells a toolchain that cannot be used from a step of the seal that
// fails. BuildKit says it in words only.
func (s Seal) explain(e *BuildError) error {
	if problem := e.toolchainProblem(loadToolchain); problem != "" {
		return &ToolchainError{"toolchain", "enclave.toolchain", s.Toolchain, problem, e}
	}
	return e
}

// toolchainProblem tells an image that cannot be loaded, by the name of the step that does.
func (e *BuildError) toolchainProblem(load string) ToolchainProblem {
	told := e.Err.Error() + strings.Join(e.Output, "\n")
	says := func(words string) bool { return strings.Contains(told, words) }
	switch {
	case says("exec format error"), says("no match for platform"):
		return ToolchainForeign
	case e.Step != load:
		return ""
	case says("401 Unauthorized"), says("403 Forbidden"), says("authorization"):
		return ToolchainRefused
	case says("not found"):
		return ToolchainMissing
	}
	return ToolchainUnreachable
}
