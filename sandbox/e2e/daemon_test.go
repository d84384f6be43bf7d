package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// daemon is a buildkitd at a port, for who has a certificate.
type daemon struct {
	address, root string
	command       *exec.Cmd
	killed        bool // and what its steps left is no sign of life
}

type daemonsKey struct{}

// daemons starts BuildKit's own daemons, which ask for a certificate:
//
//	daemons NUMBER
//
// DAEMONS are their addresses, joined by commas. The files daemons.yaml, stranger.yaml and
// nobody.yaml list them: with the right certificate, with one of another authority, and with
// none.
func daemons(ts *testscript.TestScript, s *script, args []string) {
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(certificates(filepath.Join(s.dir, "tls")))
	ts.Check(certificates(filepath.Join(s.dir, "others")))
	var all []*daemon
	var addresses []string
	for range number {
		d, err := startDaemon(ts, s)
		ts.Check(err)
		all, addresses = append(all, d), append(addresses, d.address)
	}
	running, ok := ts.Value(daemonsKey{}).(*[]*daemon)
	if !ok {
		ts.Fatalf("the script has no place for daemons")
	}
	*running = all
	ts.Setenv("DAEMONS", strings.Join(addresses, ","))
	for file, files := range map[string]string{
		"daemons": ", ca: tls/ca.pem, cert: tls/client.pem, key: tls/client.key", "nobody": ", ca: tls/ca.pem",
		"stranger": ", ca: tls/ca.pem, cert: others/client.pem, key: others/client.key",
	} {
		text := "builders:\n"
		for _, address := range addresses {
			text += fmt.Sprintf("  - {address: %q, builds: 1%s}\n", address, files)
		}
		ts.Check(os.WriteFile(filepath.Join(s.dir, file+".yaml"), []byte(text), 0o600))
	}
}

// buildctl runs BuildKit's own program, which must succeed, with the first of the daemons:
//
//	buildctl prune
//	buildctl build [ARGUMENT...]
//
// It builds the script's folder, in which base is the base image of the examples.
func buildctl(ts *testscript.TestScript, s *script, args []string) {
	running, ok := ts.Value(daemonsKey{}).(*[]*daemon)
	if !ok || len(*running) == 0 {
		ts.Fatalf("there is no daemon")
	}
	program, err := filepath.Abs("../../bin/buildctl")
	ts.Check(err)
	all := []string{"--addr", (*running)[0].address, "--tlscacert", "tls/ca.pem", "--tlscert", "tls/client.pem", "--tlskey", "tls/client.key", args[0]}
	switch args[0] {
	case "prune":
		all = append(all, "--all")
	case "build":
		folder, digest, _ := strings.Cut(strings.TrimPrefix(ts.Getenv("BASE"), "oci-layout://"), "@")
		all = append(all, "--progress", "plain", "--frontend", "dockerfile.v0", "--local", "context=.", "--local", "dockerfile=.",
			"--oci-layout", "base="+folder, "--opt", "context:base=oci-layout://base@"+digest)
	}
	ts.Check(ts.Exec(program, append(all, args[1:]...)...))
}

func startDaemon(ts *testscript.TestScript, s *script) (*daemon, error) {
	program, err := exec.LookPath("../../bin/buildkitd")
	if err != nil {
		return nil, fmt.Errorf("%w; build it with: make bin/buildkitd", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &daemon{address: "tcp://" + free.Addr().String()}
	if err := free.Close(); err != nil {
		return nil, err
	}
	if d.root, err = os.MkdirTemp("", "buildkitd-*"); err != nil {
		return nil, err
	}
	tls := filepath.Join(s.dir, "tls")
	d.command = exec.Command(program, "--root", d.root, "--addr", d.address, "--containerd-worker=false",
		"--tlscacert", filepath.Join(tls, "ca.pem"), "--tlscert", filepath.Join(tls, "server.pem"), "--tlskey", filepath.Join(tls, "server.key"))
	var log strings.Builder
	d.command.Stdout, d.command.Stderr, d.command.WaitDelay = &log, &log, time.Second
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	ts.Defer(func() { _ = d.end(syscall.SIGTERM) })
	for range 400 {
		if c, err := net.Dial("tcp", strings.TrimPrefix(d.address, "tcp://")); err == nil {
			return d, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("buildkitd does not listen:\n%s", log.String())
}

// end ends the daemon, if it is not, and takes away what it left.
func (d *daemon) end(signal syscall.Signal) error {
	_ = d.command.Process.Signal(signal) // which an ended one does not get
	_ = d.command.Wait()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, d.root+"/") {
			_ = syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
	return os.RemoveAll(d.root)
}

// isRunning reports whether a step runs there.
func (d *daemon) isRunning() bool {
	bundles, _ := filepath.Glob(filepath.Join(d.root, "runc-*", "executor", "*", "config.json"))
	return len(bundles) > 0
}

// lose is exits, and kills the first of the daemons that runs a step meanwhile:
//
//	lose CODE PROGRAM [ARGUMENT...]
func lose(ts *testscript.TestScript, s *script, args []string) {
	running, ok := ts.Value(daemonsKey{}).(*[]*daemon)
	if !ok || len(*running) == 0 {
		ts.Fatalf("there are no daemons to lose")
	}
	ctx, stop := context.WithCancel(context.Background())
	lost := make(chan *daemon, 1)
	go func() {
		defer close(lost)
		for ctx.Err() == nil {
			for _, d := range *running {
				if !d.killed && d.isRunning() {
					d.killed = true
					_ = d.command.Process.Kill()
					lost <- d
					return
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	exits(ts, s, args)
	stop()
	if <-lost == nil {
		ts.Fatalf("no daemon ran a step")
	}
}

// certificates makes an authority, and certificates for a server here and for a client.
func certificates(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: filepath.Base(dir)}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signer, err := certify(dir, "ca", authority, authority, nil)
	for _, name := range []string{"server", "client"} {
		if err != nil {
			return err
		}
		_, err = certify(dir, name, &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(24 * time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, authority, signer)
	}
	return err
}

// certify writes a certificate and its key, signed by a parent or, where that has no key, by
// itself.
func certify(dir, name string, cert, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return key, nil
}
