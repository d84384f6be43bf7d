package buildkit

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/mrelease/mrelease/bounds"
)

// findCause says of a failed build what is at fault, where that can be told from the
// Dockerfile and from what was sent: the builder's own words are about its cache.
func (s Source) findCause(e *BuildError, sent sentModes) {
	if full := fullDisk(e); full != "" {
		e.Cause, e.Cure = "the builder's disk is full: "+full, "make room where the builder keeps its state, or give the embedded one a folder on another disk (--state, MRELEASE_STATE); what is in there is a cache, and may be removed"
		return
	}
	if user := missingUser(e.Err); user != nil {
		s.blameUser(e, user)
		return
	}
	s.blameTaken(e, sent)
}

// InSource makes the error of a copy's build name this source: the copy is gone when
// somebody reads it, and did not have what is left out of both.
func (s Source) InSource(ctx context.Context, e *BuildError) {
	e.Dockerfile = s.path()
	if sent, err := s.listSent(ctx); err == nil {
		s.blameTaken(e, sent)
	}
	s.hide(e)
}

// blameTaken looks for what the step asks for and is not sent.
func (s Source) blameTaken(e *BuildError, sent sentModes) {
	for _, stage := range s.stages() {
		for _, t := range takenBy(stage) {
			if len(t.at) == 0 || t.at[0].Start.Line != e.Line || isWildcard(t.path) || sent.has(t.clean()) {
				continue
			}
			text, cure := s.why(t.clean())
			e.Cause, e.Cure = t.instruction+" "+t.path+": "+text, cure
			return
		}
	}
}

// stages parses the Dockerfile; there are none of one that does not parse.
func (s Source) stages() []instructions.Stage {
	data, err := bounds.ReadFile(s.path(), bounds.Dockerfile)
	if err != nil {
		return nil
	}
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil
	}
	return stages
}

// fullDisk reads the words of a builder whose disk is full, which reach here as text;
// empty for others, and for a step that ran, which says so itself.
func fullDisk(e *BuildError) string {
	text := e.Err.Error()
	if _, after, ok := strings.Cut(text, "ResourceExhausted: "); ok { // gRPC's word
		text = after
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if e.ExitCode == 0 && strings.HasSuffix(text, full.Error()) {
			return text
		}
	}
	return ""
}

// UserError says that an image names a user or a group that it does not have: no
// runtime starts its program.
type UserError struct {
	Kind string // user or group
	Name string
	Err  error // the runtime's words
}

// Error implements error.
func (e *UserError) Error() string { return fmt.Sprintf("the image has no %s %q", e.Kind, e.Name) }

// Unwrap returns the runtime's error.
func (e *UserError) Unwrap() error { return e.Err }

// Evidence returns what was looked for.
func (e *UserError) Evidence() [][2]string {
	file := map[string]string{"user": "/etc/passwd", "group": "/etc/group"}[e.Kind]
	return [][2]string{{"expected", fmt.Sprintf("%s of the image names %s", file, e.Name)}, {"actual", "no such " + e.Kind}, {"where", "USER " + e.Name}}
}

// missingUser reads the runtime's words, which reach here as text; nil for others.
func missingUser(err error) *UserError {
	found := regexp.MustCompile(`unable to find (user|group) ([^\s:]+): no matching entries in`).FindStringSubmatch(err.Error())
	if found == nil {
		return nil
	}
	return &UserError{found[1], found[2], err}
}

// ExtractError says that the files of an image's layer cannot be made.
type ExtractError struct {
	Problem string // the system's words
	Err     error
}

// Error implements error.
func (e *ExtractError) Error() string { return "a layer of the image cannot be extracted" }

// Unwrap returns the builder's error.
func (e *ExtractError) Unwrap() error { return e.Err }

// Evidence returns what went wrong.
func (e *ExtractError) Evidence() [][2]string {
	return [][2]string{{"problem", e.Problem}}
}

// oddLayer reads the words of the builder that extracts a layer, which reach here as
// text; nil for others, and for a disk at fault.
func oddLayer(err error) *ExtractError {
	_, problem, found := strings.Cut(err.Error(), "mount callback failed on ")
	if !found {
		return nil
	}
	for _, disk := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EDQUOT, syscall.ENOMEM} {
		if strings.HasSuffix(problem, disk.Error()) {
			return nil
		}
	}
	folder, problem, _ := strings.Cut(problem, ": ")
	return &ExtractError{strings.ReplaceAll(problem, folder, ""), err}
}

// blameUser leads from the step that could not start to the USER that it starts as:
// the last one before it, unless that is the base image's.
func (s Source) blameUser(e *BuildError, user *UserError) {
	e.Cause = fmt.Sprintf("USER %s: %v", user.Name, user)
	e.Cure = fmt.Sprintf("make the %s in a RUN before USER (useradd, adduser), or give its number", user.Kind)
	failed := e.Line
	for _, stage := range s.stages() {
		for _, command := range stage.Commands {
			c, ok := command.(*instructions.UserCommand)
			if ok && len(c.Location()) > 0 && (failed == 0 || c.Location()[0].Start.Line < failed) {
				e.Line, e.Instruction = c.Location()[0].Start.Line, c.String()
			}
		}
	}
}

// BlameUser makes a [*BuildError] of what a runtime says of an image's user that is
// missing; the USER is the Dockerfile's last one. Other errors stay what they are.
func (s Source) BlameUser(err error) error {
	if err == nil {
		return nil
	}
	user := missingUser(err)
	if user == nil {
		return err
	}
	e := &BuildError{Dockerfile: s.path(), Err: user}
	s.blameUser(e, user)
	s.hide(e)
	return e
}

// emptyImage says that nothing was put into the image.
func (s Source) emptyImage() error {
	e := &BuildError{Dockerfile: s.path(), Err: errEmptyImage}
	e.Cause, e.Cure = "the image is empty: it is built FROM scratch, and nothing puts a file into it", "COPY the enclave's program into the image, or begin FROM an image that has it"
	if stages := s.stages(); len(stages) > 0 && s.Target == "" && len(stages[len(stages)-1].Location) > 0 {
		e.Line = stages[len(stages)-1].Location[0].Start.Line
	}
	s.hide(e)
	return e
}
