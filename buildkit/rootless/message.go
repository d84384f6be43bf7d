//go:build linux && amd64

package rootless

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// task is what a child is started for.
type task struct {
	Root      string // the state folder; "" to say only how layers would be kept
	Near      string // with no Root: an existing folder on the disk of the state
	Runtime   string
	Exclusive bool
	Insecure  []string
	MaxCache  int64
	Remove    []string // state folders to be removed, and nothing else done
}

// message is what is said on the control socket. Each has one of the fields set.
type message struct {
	Task     *task  `json:",omitempty"`
	Connect  bool   `json:",omitempty"` // and brings a connection along
	Distrust bool   `json:",omitempty"`
	Close    bool   `json:",omitempty"`
	Event    string `json:",omitempty"` // waiting, discarded, done
	Ready    *ready `json:",omitempty"`
	Failed   *fault `json:",omitempty"`
}

// The events.
const (
	waiting   = "waiting"
	discarded = "discarded"
	done      = "done"
)

type ready struct {
	Blobs  string
	Layers string
	Lacks  []string
}

// fault is an error on its way out of the child.
type fault struct {
	Text    string
	Mount   string               `json:",omitempty"` // what could not be mounted
	Errno   syscall.Errno        `json:",omitempty"`
	Foreign *engine.ForeignError `json:",omitempty"`
}

// mountError says that the kernel made a user namespace, and does not let it be used.
type mountError struct {
	what string
	err  error
}

func (e *mountError) Error() string { return fmt.Sprintf("mounting %s: %v", e.what, e.err) }
func (e *mountError) Unwrap() error { return e.err }

func newFault(err error) *fault {
	f := &fault{Text: err.Error()}
	if len(f.Text) > maxText {
		f.Text = f.Text[:maxText]
	}
	var mount *mountError
	if errors.As(err, &mount) {
		f.Mount = mount.what
		errors.As(err, &f.Errno)
	}
	errors.As(err, &f.Foreign)
	return f
}

func (f *fault) err() error {
	switch {
	case f.Foreign != nil:
		return f.Foreign
	case f.Mount != "":
		return &mountError{f.Mount, f.Errno}
	}
	return errors.New(f.Text)
}

// maxMessage bounds a message, in bytes. They are short, but for texts of errors.
const maxMessage = 64 << 10

// maxText bounds the text of an error in it, of which a byte may take six.
const maxText = maxMessage / 8

// socket keeps messages apart, and carries files.
type socket struct{ conn *net.UnixConn }

// socketPair returns an end for this process, and one for a child.
func socketPair() (socket, *os.File, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return socket{}, nil, fmt.Errorf("making a socket: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "control")
	ours, err := openSocket(os.NewFile(uintptr(ends[0]), "control"))
	if err != nil {
		return socket{}, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// openSocket takes a file over.
func openSocket(f *os.File) (socket, error) {
	conn, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return socket{}, fmt.Errorf("opening a socket: %w", err)
	}
	of, ok := conn.(*net.UnixConn)
	if !ok {
		return socket{}, errors.Join(errors.New("opening a socket: it is no local one"), conn.Close())
	}
	return socket{of}, nil
}

// send sends a message, and with it a file, or nil.
func (s socket) send(m message, with *os.File) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if with != nil {
		rights = syscall.UnixRights(int(with.Fd()))
	}
	_, _, err = s.conn.WriteMsgUnix(data, rights, nil)
	return err
}

// receive waits for a message, which may bring a file along.
func (s socket) receive() (m message, with *os.File, err error) {
	data, rights := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4))
	n, rightsLen, _, _, err := s.conn.ReadMsgUnix(data, rights)
	if err != nil {
		return message{}, nil, err
	}
	if with, err = fileOf(rights[:rightsLen]); err != nil {
		return message{}, nil, err
	}
	if err := json.Unmarshal(data[:n], &m); err != nil {
		return message{}, with, fmt.Errorf("reading a message: %w", err)
	}
	return m, with, nil
}

func fileOf(rights []byte) (*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	files, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(files) == 0 {
		return nil, err
	}
	syscall.CloseOnExec(files[0])
	return os.NewFile(uintptr(files[0]), "connection"), nil
}
