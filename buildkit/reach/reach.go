// Package reach connects to a buildkitd through a program of its user's: ssh, docker or
// kubectl, whose streams are the connection. Keys, agents, jump hosts, contexts and the
// helpers that log in are the program's affair.
package reach

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// Command returns what is run to reach the daemon at an address. These are the command lines
// of BuildKit's own client: the other side runs buildctl, which connects its streams with the
// daemon. No part of an address can be taken for a flag.
func Command(u *url.URL) ([]string, error) {
	switch {
	case u.Scheme == "docker-container" && isPlain(u) && only(u.Query(), "context"):
		return dockerCommand(u), nil
	case u.Scheme == "kube-pod" && isPlain(u) && only(u.Query(), "context", "namespace", "container"):
		return kubeCommand(u), nil
	case u.Scheme == "ssh" && isSSH(u):
		return sshCommand(u), nil
	}
	return nil, errors.New("no program reaches such an address")
}

const dial = "dial-stdio"

func dockerCommand(u *url.URL) []string {
	c := option([]string{"docker"}, "--context=", u.Query().Get("context"))
	return append(c, "exec", "-i", u.Host, "buildctl", dial)
}

func kubeCommand(u *url.URL) []string {
	q := u.Query()
	c := option(option([]string{"kubectl"}, "--context=", q.Get("context")), "--namespace=", q.Get("namespace"))
	c = option(append(c, "exec"), "--container=", q.Get("container"))
	return append(c, "-i", u.Host, "--", "buildctl", dial)
}

// isPlain reports whether an address has a name, and neither a path nor a user.
func isPlain(u *url.URL) bool { return isWord(u.Host) && u.Path == "" && u.User == nil }

// isSSH reports whether an address is that of a host, with a user, a port and a socket
// perhaps, and without a password.
func isSSH(u *url.URL) bool {
	_, secret := u.User.Password()
	return isWord(u.Hostname()) && !secret && u.RawQuery == "" && (u.User == nil || isWord(u.User.Username())) &&
		(u.Path == "" || regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`).MatchString(u.Path)) // a shell reads it there
}

func sshCommand(u *url.URL) []string {
	c := []string{"ssh"}
	if u.User != nil {
		c = append(c, "-l", u.User.Username())
	}
	if u.Port() != "" {
		c = append(c, "-p", u.Port())
	}
	c = append(c, "--", u.Hostname(), "buildctl")
	if u.Path != "" {
		c = append(c, "--addr", "unix://"+u.Path)
	}
	return append(c, dial)
}

// isWord tells names of hosts, users, containers and pods from what could be a flag.
func isWord(s string) bool {
	return len(s) < 256 && regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]*$`).MatchString(s)
}

// only reports whether a query has no other keys, each with a word.
func only(q url.Values, keys ...string) bool {
	for key, values := range q {
		if !slices.Contains(keys, key) || len(values) != 1 || !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$`).MatchString(values[0]) {
			return false
		}
	}
	return true
}

func option(to []string, name, value string) []string {
	if value == "" {
		return to
	}
	return append(to, name+value)
}

// Runner starts such commands.
type Runner struct {
	Path     string   // list of the folders that programs are looked for in
	Withhold []string // variables of the environment that they do not get
}

// Connect runs a command, whose streams are the connection. It ends with the connection.
func (r Runner) Connect(command []string) (net.Conn, error) {
	program := r.find(command[0])
	if program == "" {
		return nil, fmt.Errorf("%s, which reaches it, is not installed", command[0])
	}
	toRead, toWrite, err := pipes()
	if err != nil {
		return nil, err
	}
	c := &commandConn{in: toWrite[1], out: toRead[0], name: command[0], done: make(chan struct{})}
	cmd := exec.Command(program, command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = toWrite[0], toRead[1], &c.said
	cmd.WaitDelay = time.Second
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(r.Withhold, name)
	})
	err = cmd.Start()
	_ = errors.Join(toWrite[0].Close(), toRead[1].Close()) // the program has them
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", command[0], err), c.in.Close(), c.out.Close())
	}
	c.kill = cmd.Process.Kill
	go func() {
		_ = cmd.Wait() // what it says of why it ended is told
		close(c.done)
	}()
	return c, nil
}

// find returns the path of a program in the absolute folders of the list, or "".
func (r Runner) find(name string) string {
	for _, dir := range filepath.SplitList(r.Path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

func pipes() (toRead, toWrite [2]*os.File, err error) {
	for _, p := range []*[2]*os.File{&toRead, &toWrite} {
		if p[0], p[1], err = os.Pipe(); err != nil {
			return toRead, toWrite, fmt.Errorf("making pipe: %w", err)
		}
	}
	return toRead, toWrite, nil
}

// commandConn is a connection through a program.
type commandConn struct {
	in, out *os.File
	name    string
	said    saying
	kill    func() error
	done    chan struct{} // closed when the program has ended
}

// Read implements net.Conn. The end is an error that has the program's last words.
func (c *commandConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err == io.EOF {
		select {
		case <-c.done:
		case <-time.After(time.Second):
		}
		if said := c.said.last(); said != "" {
			err = fmt.Errorf("%s: %s", c.name, said)
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *commandConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close ends the program: by the end of its input, and a second later in any case.
func (c *commandConn) Close() error {
	err := errors.Join(c.in.Close(), c.out.Close())
	select {
	case <-c.done:
	case <-time.After(time.Second):
		_ = c.kill()
		<-c.done
	}
	return err
}

func (c *commandConn) LocalAddr() net.Addr  { return commandAddr(c.name) }
func (c *commandConn) RemoteAddr() net.Addr { return commandAddr(c.name) }

// SetDeadline implements net.Conn.
func (c *commandConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *commandConn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *commandConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// commandAddr is the name of a program.
type commandAddr string

func (commandAddr) Network() string  { return "command" }
func (a commandAddr) String() string { return string(a) }

// saying keeps the end of what a program says.
type saying struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	s.text = s.text[max(0, len(s.text)-bounds.ErrorBody):]
	return len(p), nil
}

// last is the last line.
func (s *saying) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(s.text), []byte("\n"))
	return string(lines[len(lines)-1])
}
