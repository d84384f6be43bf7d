//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// loopback is where Sigstore's own programs serve, and what Rekor 2 names its log: the host
// of its address, as verifiers have it.
const loopback = "127.0.0.1"

// servers are Sigstore's own programs: Fulcio with a log of certificates (TesseraCT), the
// timestamp authority, and Rekor in both of its versions. The tokens are the stand-in's,
// and the first version of Rekor keeps its entries in memory.
type servers struct {
	sigstore.Instance // their addresses
	running           map[string]*server
	root              *root.TrustedRoot
}

// server is a program that serves.
type server struct {
	program string
	args    []string
	ready   string     // a URL that it answers once it is up; or a host, which it listens at
	of      *testing.T // whose end is the server's
	process *os.Process
	ended   chan struct{}
}

// startSigstore starts them, with new keys.
func (s *stage) startSigstore(t *testing.T) *servers {
	t.Helper()
	o := &servers{Instance: sigstore.Instance{OIDC: s.Sigstore.OIDC}, running: map[string]*server{}}
	dir := t.TempDir()
	certificates, fulcio := s.startFulcio(t, o, filepath.Join(dir, "fulcio"))
	times := s.startTimes(t, o, filepath.Join(dir, "times"))
	first, second := s.startRekorV1(t, o, filepath.Join(dir, "rekor")), s.startRekorV2(t, o, filepath.Join(dir, "rekor-v2"))
	var err error
	o.root, err = root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{fulcio}, byID(certificates), []root.TimestampingAuthority{times}, byID(first, second))
	must(t, err)
	return o
}

// write writes what [world.World] writes of the stand-ins: the trusted root, and the
// signing configurations with each version of the log.
func (o *servers) write(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	trusted, err := json.Marshal(o.root)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "trusted-root.json"), append(trusted, '\n'), 0o644)) // a line, for GitHub's
	for version, file := range []string{"signing-config-nolog.json", "signing-config.json", "signing-config-v2.json"} {
		config, err := o.SigningConfig(uint32(version))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, file), config, 0o644))
	}
}

// startFulcio starts Fulcio, and the log that its certificates are written to.
func (s *stage) startFulcio(t *testing.T, o *servers, dir string) (*root.TransparencyLog, *root.FulcioCertificateAuthority) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	rootKey, key, logKey := newECDSA(t), newECDSA(t), newECDSA(t)
	top := certified(t, x509.Certificate{Subject: named("fulcio root"), IsCA: true}, nil, rootKey.Public(), rootKey)
	middle := certified(t, x509.Certificate{Subject: named("fulcio intermediate"), IsCA: true, MaxPathLenZero: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, top, key.Public(), rootKey)
	writeCertificates(t, filepath.Join(dir, "root.pem"), top)
	writeCertificates(t, filepath.Join(dir, "chain.pem"), middle, top)
	writeKey(t, filepath.Join(dir, "key.pem"), key)
	ec, err := x509.MarshalECPrivateKey(logKey)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "log.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}), 0o600))
	public, err := x509.MarshalPKIXPublicKey(logKey.Public())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "log.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644))
	s.writeFulcioConfig(t, filepath.Join(dir, "config.yaml"))

	at := free(t)
	s.start(t, o, &server{program: "tesseract", ready: "http://" + at + "/ct/v1/get-roots", args: []string{
		"-http_endpoint", at, "-origin", "certificates.interop", "-private_key", filepath.Join(dir, "log.pem"), "-roots_pem_file", filepath.Join(dir, "root.pem"),
		"-ext_key_usages", "CodeSigning", "-storage_dir", filepath.Join(dir, "log"), "-checkpoint_interval", "200ms", "-logtostderr",
	}})
	log := &root.TransparencyLog{BaseURL: "http://" + at, ID: sumOf(public), ValidityPeriodStart: top.NotBefore, HashFunc: crypto.SHA256, PublicKey: logKey.Public(), SignatureHashFunc: crypto.SHA256}

	host, grpc, metrics := free(t), free(t), free(t)
	o.Fulcio = "http://" + host
	s.start(t, o, &server{program: "fulcio", ready: o.Fulcio + "/healthz", args: []string{
		"serve", "--host", loopback, "--port", port(host), "--grpc-host", loopback, "--grpc-port", port(grpc), "--metrics-port", port(metrics),
		"--legacy-unix-domain-socket", "@fulcio-" + port(grpc), "--config-path", filepath.Join(dir, "config.yaml"),
		"--ca", "fileca", "--fileca-cert", filepath.Join(dir, "chain.pem"), "--fileca-key", filepath.Join(dir, "key.pem"), "--fileca-key-passwd", "none",
		"--ct-log-url", log.BaseURL, "--ct-log-public-key-path", filepath.Join(dir, "log.pub"),
	}})
	return log, &root.FulcioCertificateAuthority{Root: top, Intermediates: []*x509.Certificate{middle}, ValidityPeriodStart: top.NotBefore, URI: o.Fulcio}
}

// writeFulcioConfig writes the configuration that Fulcio's public instance has, with the
// stand-in's issuers in the place of all others: what a certificate says of a token of
// GitHub or GitLab is said by Sigstore.
func (s *stage) writeFulcioConfig(t *testing.T, file string) {
	t.Helper()
	download := program{name: "go", args: []string{"mod", "download", "-json", "github.com/sigstore/fulcio"}, dir: "../../tools/sigstore", env: []string{"GOFLAGS="}}
	stdout, _ := download.run(t)
	var module struct{ Dir string }
	must(t, json.Unmarshal([]byte(stdout), &module))
	text, err := os.ReadFile(filepath.Join(module.Dir, "config", "identity", "config.yaml"))
	must(t, err)
	const issuers, templates = "\noidc-issuers:\n", "\nci-issuer-metadata:\n"
	before, rest, found := strings.Cut(string(text), issuers)
	_, after, more := strings.Cut(rest, templates)
	if !found || !more {
		t.Fatal("the configuration of Fulcio's public instance has another form")
	}
	config := before + issuers
	for shape, provider := range map[string]string{sigstore.GitHub: "github-workflow", sigstore.GitLab: "gitlab-pipeline"} {
		at := s.Sigstore.Issuer(shape)
		config += fmt.Sprintf("  %s: {issuer-url: %q, client-id: sigstore, type: ci-provider, ci-provider: %s}\n", at, at, provider)
	}
	must(t, os.WriteFile(file, []byte(config+templates+after), 0o644))
}

// startTimes starts the timestamp authority. It also takes port 2112, for its metrics, and
// ends when it cannot.
func (s *stage) startTimes(t *testing.T, o *servers, dir string) *root.SigstoreTimestampingAuthority {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	topKey, middleKey, key := newECDSA(t), newECDSA(t), newECDSA(t)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	top := certified(t, x509.Certificate{Subject: named("times root"), IsCA: true}, nil, topKey.Public(), topKey)
	middle := certified(t, x509.Certificate{Subject: named("times intermediate"), IsCA: true, MaxPathLenZero: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}, top, middleKey.Public(), topKey)
	leaf := certified(t, x509.Certificate{Subject: named("times"), ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}}, middle, key.Public(), middleKey)
	writeCertificates(t, filepath.Join(dir, "chain.pem"), leaf, middle, top)
	writeKey(t, filepath.Join(dir, "key.pem"), key)
	at := free(t)
	o.TSA = "http://" + at + "/api/v1/timestamp"
	s.start(t, o, &server{program: "timestamp-server", ready: "http://" + at + "/ping", args: []string{
		"serve", "--scheme", "http", "--host", loopback, "--port", port(at), "--disable-ntp-monitoring",
		"--timestamp-signer", "file", "--file-signer-key-path", filepath.Join(dir, "key.pem"), "--certificate-chain-path", filepath.Join(dir, "chain.pem"),
	}})
	return &root.SigstoreTimestampingAuthority{Root: top, Intermediates: []*x509.Certificate{middle}, Leaf: leaf, ValidityPeriodStart: top.NotBefore, URI: o.TSA}
}

// startRekorV1 starts Rekor's first version, without the index, which needs a database.
func (s *stage) startRekorV1(t *testing.T, o *servers, dir string) *root.TransparencyLog {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	key := newECDSA(t)
	writeKey(t, filepath.Join(dir, "key.pem"), key)
	trees, at := free(t), free(t)
	s.start(t, o, &server{program: "trillian", ready: trees, args: []string{trees}})
	o.RekorV1 = "http://" + at
	s.start(t, o, &server{program: "rekor-server", ready: o.RekorV1 + "/api/v1/log/publicKey", args: []string{
		"serve", "--scheme", "http", "--rekor_server.address", loopback, "--port", port(at), "--rekor_server.hostname", loopback, "--rekor_server.signer", filepath.Join(dir, "key.pem"),
		"--trillian_log_server.address", loopback, "--trillian_log_server.port", port(trees), "--enable_retrieve_api=false",
		"--enabled_api_endpoints", "createLogEntry,getLogEntryByIndex,getLogEntryByUUID,getLogInfo,getPublicKey",
	}})
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return &root.TransparencyLog{BaseURL: o.RekorV1, ID: sumOf(public), ValidityPeriodStart: time.Now().Add(-time.Minute), HashFunc: crypto.SHA256, PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256}
}

// startRekorV2 starts Rekor's second version, whose entries are files, with a key of the
// kind that the public instance has.
func (s *stage) startRekorV2(t *testing.T, o *servers, dir string) *root.TransparencyLog {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	writeKey(t, filepath.Join(dir, "key.pem"), key)
	at, grpc, metrics := free(t), free(t), free(t)
	o.RekorV2 = "http://" + at
	s.start(t, o, &server{program: "rekor-tiles", ready: o.RekorV2 + "/healthz", args: []string{
		"serve", "--http-address", loopback, "--http-port", port(at), "--grpc-address", loopback, "--grpc-port", port(grpc), "--http-metrics-port", port(metrics),
		"--hostname", loopback, "--storage-dir", filepath.Join(dir, "log"), "--signer-filepath", filepath.Join(dir, "key.pem"),
		"--batch-max-age", "50ms", "--checkpoint-interval", "200ms", "--persistent-antispam",
	}})
	_, id, err := note.KeyHash(loopback, public)
	must(t, err)
	return &root.TransparencyLog{BaseURL: o.RekorV2, ID: id, ValidityPeriodStart: time.Now().Add(-time.Minute), HashFunc: crypto.SHA256, PublicKey: public, SignatureHashFunc: crypto.SHA256}
}

// start starts one of the servers.
func (s *stage) start(t *testing.T, o *servers, one *server) {
	t.Helper()
	one.of, o.running[one.program] = t, one
	s.serve(t, one)
}

// serve starts a server, and returns when it is up.
func (s *stage) serve(t *testing.T, o *server) {
	t.Helper()
	var said bytes.Buffer
	cmd, ended := exec.Command(filepath.Join(s.bin, o.program), o.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, s.dir
	must(t, cmd.Start())
	o.process, o.ended = cmd.Process, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it says that it was killed
	}()
	o.of.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have been
		<-ended
		if o.of.Failed() {
			o.of.Logf("%s said last:\n%s", o.program, said.Bytes()[max(0, said.Len()-4000):])
		}
	})
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended", o.program)
		default:
		}
		if o.isUp(t.Context()) {
			return
		}
	}
	t.Fatalf("%s does not answer", o.program)
}

func (o *server) isUp(ctx context.Context) bool {
	if !strings.Contains(o.ready, "://") {
		c, err := net.Dial("tcp", o.ready)
		return err == nil && c.Close() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.ready, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// kill ends a server without warning.
func (o *server) kill(t *testing.T) {
	t.Helper()
	must(t, o.process.Kill())
	<-o.ended
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", loopback+":0")
	must(t, err)
	must(t, listener.Close())
	return listener.Addr().String()
}

func port(at string) string { return at[strings.LastIndexByte(at, ':')+1:] }

func named(name string) pkix.Name {
	return pkix.Name{Organization: []string{"interop"}, CommonName: name}
}

// certified makes a certificate of a day. Without a parent it is its own.
func certified(t *testing.T, c x509.Certificate, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	c.SerialNumber, c.NotBefore, c.NotAfter = serial, time.Now().Add(-time.Minute), time.Now().Add(24*time.Hour)
	c.BasicConstraintsValid, c.KeyUsage = true, x509.KeyUsageDigitalSignature
	if c.IsCA {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if parent == nil {
		parent = &c
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, key, by)
	must(t, err)
	made, err := x509.ParseCertificate(der)
	must(t, err)
	return made
}

func writeCertificates(t *testing.T, file string, chain ...*x509.Certificate) {
	t.Helper()
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	must(t, os.WriteFile(file, text, 0o644))
}

func writeKey(t *testing.T, file string, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func sumOf(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

func byID(logs ...*root.TransparencyLog) map[string]*root.TransparencyLog {
	all := map[string]*root.TransparencyLog{}
	for _, l := range logs {
		all[hex.EncodeToString(l.ID)] = l
	}
	return all
}
