package logins

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/mrelease/mrelease/bounds"
)

// helperPrefix begins the names of the programs that Docker asks for credentials.
const helperPrefix = "docker-credential-"

// helperName is what may follow: no path, which would name another program.
var helperName = regexp.MustCompile(`^[\w][\w.-]*$`)

// HelperError says that a credential helper did not answer.
type HelperError struct {
	Program string // docker-credential-NAME
	File    string // which names it
	Err     error
}

// Error implements error.
func (e *HelperError) Error() string { return "asking " + e.Program + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *HelperError) Unwrap() error { return e.Err }

// Helper returns the program, and the file that names it.
func (e *HelperError) Helper() (program, file string) { return e.Program, e.File }

// ask asks a credential helper. What it does not have is no error; else it is a
// [*HelperError] without a file.
func (k Keychain) ask(ctx context.Context, helper, server string) (found authn.AuthConfig, err error) {
	if !helperName.MatchString(helper) {
		return found, fmt.Errorf("%q is no name of a credential helper", helper)
	}
	ctx, cancel := context.WithTimeout(ctx, bounds.Answer)
	defer cancel()
	program := func(args ...string) client.Program { return k.program(ctx, helperPrefix+helper, args) }
	got, err := client.Get(program, server)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return found, nil
	case err != nil:
		return found, &HelperError{Program: helperPrefix + helper, Err: err}
	case got.Username == "<token>":
		return authn.AuthConfig{IdentityToken: got.Secret}, nil
	}
	return authn.AuthConfig{Username: got.Username, Password: got.Secret}, nil
}

// program is a run of a helper, with the environment of this process but for what is
// withheld. It implements [client.Program].
type program struct {
	*exec.Cmd
	name string
}

func (k Keychain) program(ctx context.Context, name string, args []string) program {
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = time.Second
	c.Env = slices.DeleteFunc(c.Environ(), func(variable string) bool {
		key, _, _ := strings.Cut(variable, "=")
		return slices.Contains(k.Withhold, key)
	})
	return program{c, name}
}

// Input implements [client.Program].
func (p program) Input(in io.Reader) { p.Stdin = in }

// Output implements [client.Program]. Why a helper fails it says on either stream, in a
// line; credentials begin with a brace.
func (p program) Output() ([]byte, error) {
	var out, said bytes.Buffer
	limited := &limitedWriter{&out, bounds.Key}
	p.Stdout, p.Stderr = limited, &limitedWriter{&said, bounds.ErrorBody}
	if err := p.Run(); err != nil {
		if reason := firstLine(said.Bytes()); len(reason) > 0 {
			err = fmt.Errorf("%w: %s", err, reason)
		}
		return firstLine(out.Bytes()), err
	}
	if limited.left < 0 {
		return nil, &bounds.Error{Where: p.name, What: "the size of its answer", Most: bounds.Bytes(bounds.Key)}
	}
	return out.Bytes(), nil
}

func firstLine(out []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	if bytes.HasPrefix(line, []byte("{")) {
		return nil
	}
	return line
}

// limitedWriter takes all, and keeps no more than is left.
type limitedWriter struct {
	to   *bytes.Buffer
	left int
}

// Write implements [io.Writer].
func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left >= 0 {
		w.to.Write(p[:min(len(p), w.left)])
		w.left -= len(p)
	}
	return len(p), nil
}
