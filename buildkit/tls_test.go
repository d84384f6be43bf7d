//go:build linux && amd64

package buildkit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := authority{key: key, dir: t.TempDir()}
	der := must(x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key))
	a.cert = must(x509.ParseCertificate(der))
	writePEM(t, a.file("ca"), "CERTIFICATE", der)
	return a
}

func (a authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// certify makes a key and a certificate for a name.
func (a authority) certify(t *testing.T, name string, until time.Duration) buildkit.TLS {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until),
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key))
	made := buildkit.TLS{CA: a.file("ca"), Cert: a.file(name), Key: a.file(name + ".key")}
	writePEM(t, made.Cert, "CERTIFICATE", der)
	writePEM(t, made.Key, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
	return made
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// serveTLS serves a daemon at a port, to those who show a certificate of the authority.
func serveTLS(t *testing.T, a authority) (address string) {
	t.Helper()
	e, server := startEngine(t), a.certify(t, "localhost", time.Hour)
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	listener := must(tls.Listen("tcp", "localhost:0", &tls.Config{
		Certificates: []tls.Certificate{must(tls.LoadX509KeyPair(server.Cert, server.Key))},
		ClientCAs:    clients, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	}))
	served := make(chan error, 1)
	go func() { served <- e.Serve(listener) }()
	t.Cleanup(func() {
		check(t, e.Close())
		check(t, wait(t, "the end of Serve", served))
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	check(t, err)
	return "tcp://localhost:" + port
}

func TestMutualTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	address := serveTLS(t, ours)
	right, theirs := ours.certify(t, "client", time.Hour), others.certify(t, "client", time.Hour)
	sameAsEmbedded(t, open(t, buildkit.Options{Builder: address, Builders: []buildkit.Remote{{Address: address, TLS: right}}}))
	for name, tt := range map[string]struct {
		address string
		with    buildkit.TLS
		want    string
		theirs  bool // it is for the daemon to refuse
	}{
		"no certificate":         {address, buildkit.TLS{CA: right.CA}, "certificate required", true},
		"another's certificate":  {address, buildkit.TLS{CA: right.CA, Cert: theirs.Cert, Key: theirs.Key}, "unknown certificate authority", true},
		"an old certificate":     {address, ours.certify(t, "old", -time.Hour), "expired certificate", true},
		"another's key":          {address, buildkit.TLS{CA: right.CA, Cert: right.Cert, Key: theirs.Key}, "private key does not match public key", false},
		"another daemon":         {address, buildkit.TLS{CA: theirs.CA, Cert: right.Cert, Key: right.Key}, "signed by unknown authority", false},
		"another name":           {strings.Replace(address, "localhost", "127.0.0.1", 1), right, "cannot validate certificate for 127.0.0.1", false},
		"no TLS":                 {address, buildkit.TLS{}, "", false},
		"a file of another kind": {address, buildkit.TLS{CA: right.Key}, "failed to append ca certs", false},
		"no file":                {address, buildkit.TLS{CA: right.CA + "x"}, "no such file", false},
	} {
		_, err := buildkit.Open(t.Context(), buildkit.Options{Builders: []buildkit.Remote{{Address: tt.address, TLS: tt.with}}})
		none, ok := errors.AsType[*buildkit.NoBuilderError](err)
		early := ok && tt.theirs && strings.Contains(none.Attempts[0].Problem, "that refuses the client's certificate")
		if !ok || len(none.Attempts) != 1 || none.Attempts[0].Builder != tt.address || !strings.Contains(none.Attempts[0].Problem, tt.want) && !early {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if ok && tt.with.CA != "" && !strings.Contains(none.Remedy(), "--tlscacert "+tt.with.CA) {
			t.Errorf("%s: remedy %q", name, none.Remedy())
		}
	}
}

// A daemon behind a program is reached as one at a socket.
func TestDaemonBehindAProgram(t *testing.T) {
	socket := strings.TrimPrefix(serve(t), "unix://")
	dir := t.TempDir()
	text := "#!/bin/sh\n[ \"$*\" = \"exec -i buildkitd-0 -- buildctl dial-stdio\" ] || exit 9\nexec " + must(os.Executable()) + " " + asBridge + " " + socket + "\n"
	check(t, os.WriteFile(filepath.Join(dir, "kubectl"), []byte(text), 0o755))
	sameAsEmbedded(t, open(t, buildkit.Options{Builder: "kube-pod://buildkitd-0", Path: dir}))
	none := noBuilder(t, buildkit.Options{Builder: "kube-pod://buildkitd-1", Path: dir})
	if len(none.Attempts) != 1 || none.Attempts[0].Builder != "kube-pod://buildkitd-1" {
		t.Errorf("got %+v", none)
	}
	none = noBuilder(t, buildkit.Options{Builder: "ssh://host", Path: dir})
	contains(t, "problem", none.Attempts[0].Problem, "ssh, which reaches it, is not installed")
}
