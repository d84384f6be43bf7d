package keyservice

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Elsewhere stands in for a host of the internet: a proxy (HTTPS_PROXY) that answers in its
// place, with a certificate for it by an authority of its own. What asks does so as it
// would ask the real host.
type Elsewhere struct {
	Host      string // that it stands in for, without port
	Handler   http.Handler
	Authority string // the certificate of its authority in PEM, to be trusted (SSL_CERT_FILE)

	config *tls.Config
}

// NewElsewhere returns a proxy that stands in for one host.
func NewElsewhere(host string, h http.Handler) (*Elsewhere, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sandbox"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Elsewhere{
		Host: host, Handler: h, Authority: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		config: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
	}, nil
}

// ServeHTTP takes CONNECT for the host, and refuses every other one.
func (e *Elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != e.Host+":443" {
		http.Error(w, "this proxy knows "+e.Host+" alone", http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		conn.Close()
		return
	}
	server := &http.Server{Handler: e.Handler, ErrorLog: log.New(io.Discard, "", 0)}
	_ = server.Serve(&once{conn: tls.Server(conn, e.config)}) // ends when the connection was handed out
}

// once is a listener with one connection.
type once struct {
	conn net.Conn
	done bool
}

func (o *once) Accept() (net.Conn, error) {
	if o.done {
		return nil, io.EOF
	}
	o.done = true
	return o.conn, nil
}

func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }
