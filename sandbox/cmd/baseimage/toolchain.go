package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/mrelease/mrelease/sandbox/toolchain"
)

// notice is the text of etc/scone-standin in the image.
const notice = `This image holds a stand-in for SCONE's toolchain and runtime, made for tests
and demonstrations. It is not SCONE: it makes no enclave and protects nothing.
What it measures begins with the ASCII text SYNTHETIC.
`

// makeToolchain writes the second layer. Interpreter is the name of the real
// interpreter, such as python3.11.
func makeToolchain(scone []byte, interpreter string) ([]byte, error) {
	var layer bytes.Buffer
	w := writer{tar: tar.NewWriter(&layer)}
	w.file("etc/scone-standin", 0o644, []byte(notice))
	w.file("opt/scone/bin/scone", 0o755, scone)
	w.hardLink("opt/scone/bin/scone-signer", "opt/scone/bin/scone")
	w.hardLink("usr/bin/"+interpreter, "opt/scone/bin/scone")
	w.link("usr/bin/python", interpreter)
	programs := strings.TrimPrefix(toolchain.Programs, "/")
	w.link(programs+"/python", interpreter)
	w.link(programs+"/python3", interpreter)
	w.unconfigured()
	if w.err == nil {
		w.err = w.tar.Close()
	}
	return layer.Bytes(), w.err
}

// unconfigured makes what the packages' scripts, which did not run, would have
// made.
func (w *writer) unconfigured() {
	w.link("usr/bin/awk", "mawk")
	w.link("usr/bin/which", "which.debianutils")
	w.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"))
	w.file("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
}

// writer writes entries until the first error.
type writer struct {
	tar *tar.Writer
	err error
}

func (w *writer) file(name string, mode int64, content []byte) {
	w.entry(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content)
}

func (w *writer) link(name, target string) {
	w.entry(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (w *writer) hardLink(name, target string) {
	w.entry(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o755}, nil)
}

func (w *writer) entry(h *tar.Header, content []byte) {
	if w.err != nil {
		return
	}
	h.ModTime = time.Unix(epoch, 0)
	if w.err = w.tar.WriteHeader(h); w.err == nil {
		_, w.err = w.tar.Write(content)
	}
}

// interpreterIn returns the name of the interpreter in the first layer.
func interpreterIn(layer io.Reader) (string, error) {
	files := tar.NewReader(layer)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return "", fmt.Errorf("the root file system has no Python")
		}
		if err != nil {
			return "", fmt.Errorf("looking for Python: %w", err)
		}
		if path.Dir("/"+h.Name) == toolchain.Programs {
			return path.Base(h.Name), nil
		}
	}
}

func readToolchain(name string) ([]byte, error) {
	scone, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the toolchain: %w", err)
	}
	return scone, nil
}
