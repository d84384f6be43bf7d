//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// refused is what Sigstore's servers, or mrelease before them, take no signature for.
func (s *stage) refused(t *testing.T, o *servers) {
	r := s.newRelease(t, "refused")
	const services = "signing-config-v2.json"
	expired, err := s.Sigstore.TokenUntil(time.Now().Add(-time.Minute), sigstore.GitLab, "sigstore", jobRepository, jobRef)
	must(t, err)
	audience, err := s.Sigstore.TokenUntil(time.Now().Add(time.Hour), sigstore.GitLab, "somebody", jobRepository, jobRef)
	must(t, err)
	for _, c := range []struct {
		shape string
		env   []string
		says  []string
	}{
		// GitHub gives a token for any audience. Fulcio takes those for one only, and says no more.
		{sigstore.GitHub, []string{"MRELEASE_SIGN_KEYLESS_AUDIENCE=somebody"}, []string{"E-SIGSTORE: ", "Fulcio returned 400", "There was an error processing the identity token"}},
		{sigstore.GitLab, []string{"SIGSTORE_ID_TOKEN=" + audience}, []string{"E-IDENTITY: ", "actual    somebody"}},
		{sigstore.GitLab, []string{"SIGSTORE_ID_TOKEN=" + expired}, []string{"E-IDENTITY-TOKEN: ", "is expired since"}},
	} {
		run := s.asJob(t, c.shape, r, services, "release", "--version", "1.0.0", "--progress", "quiet")
		run.env, run.fails = append(run.env, c.env...), true
		_, stderr := run.run(t)
		for _, says := range c.says {
			if !strings.Contains(strings.Join(strings.Fields(stderr), " "), strings.Join(strings.Fields(says), " ")) {
				t.Errorf("%v: it does not say %q:\n%s", c.says, says, stderr)
			}
		}
	}
	s.unsigned(t, r)

	// A log that is kept, and takes no more entries.
	log := o.running["rekor-tiles"]
	log.kill(t)
	frozen := *log
	frozen.args = append(frozen.args[:len(frozen.args):len(frozen.args)], "--read-only")
	s.serve(t, &frozen)
	run := s.asJob(t, sigstore.GitHub, r, services, "release", "--version", "1.0.0", "--progress", "quiet")
	run.fails = true
	if _, stderr := run.run(t); !strings.Contains(stderr, "E-SIGSTORE: ") || !strings.Contains(stderr, "This log has been frozen") {
		t.Errorf("of a log that is frozen it says:\n%s", stderr)
	}
	s.unsigned(t, r)
	frozen.kill(t)
	s.serve(t, log)
}

// interrupted is a release whose log is down: nothing that is half signed counts, and it
// goes on when the log is back, in the same run or in another.
func (s *stage) interrupted(t *testing.T, o *servers) {
	r := s.newRelease(t, "interrupted")
	log := o.running["rekor-tiles"]
	log.kill(t)
	release := s.asJob(t, sigstore.GitHub, r, "signing-config-v2.json", "release", "--version", "1.0.0", "--progress", "plain")
	waits := o.RekorV2[len("http://"):] + " fails: trying again in"

	given := release.start(t)
	given.waitFor(t, waits)
	s.unsigned(t, r)
	must(t, given.cmd.Process.Signal(os.Interrupt))
	if code := given.end(); code != 130 {
		t.Errorf("the release that was interrupted ends with %d:\n%s", code, &given.said)
	}
	s.unsigned(t, r)

	waiting := release.start(t)
	waiting.waitFor(t, waits)
	s.serve(t, log)
	if code := waiting.end(); code != 0 {
		t.Fatalf("with the log back the release ends with %d:\n%s", code, &waiting.said)
	}
	_, image := s.recorded(t, sigstore.GitHub, r)
	s.ghTakes(t, image, filepath.Join(s.dir, authorities, "trusted-root.json"))
}

// unsigned fails when the image of a release has a bundle.
func (s *stage) unsigned(t *testing.T, r release) {
	t.Helper()
	tag, err := name.NewTag(s.Registry + "/" + r.name + ":1.0.0")
	must(t, err)
	head, err := remote.Head(tag)
	var absent *transport.Error
	if errors.As(err, &absent) && absent.StatusCode == http.StatusNotFound {
		return // it was not pushed
	}
	must(t, err)
	if bundles := bundlesOf(t, tag.Digest(head.Digest.String())); len(bundles) > 0 {
		t.Errorf("the image has bundles:\n%s", bundles)
	}
}

// down ends each server in its turn: without it nothing is signed, and with it again all.
func (s *stage) down(t *testing.T, o *servers) {
	for _, program := range []string{"tesseract", "fulcio", "timestamp-server", "rekor-server", "rekor-tiles"} {
		t.Run(program, func(t *testing.T) {
			version := uint32(2)
			if program == "rekor-server" {
				version = 1
			}
			o.running[program].kill(t)
			_, err := s.signer(t, o, version).Bundle(t.Context(), statement())
			var failed *keyless.ServiceError
			if !errors.As(err, &failed) {
				t.Errorf("without it signing ends with %v", err)
			}
			s.serve(t, o.running[program])
			if _, err := s.signer(t, o, version).Bundle(t.Context(), statement()); err != nil {
				t.Errorf("with it again: %v", err)
			}
		})
	}
}

// unlogged is a Fulcio that writes its certificates to no log, as private ones do: what it
// certifies counts for whoever trusts no log of certificates, and for nobody else.
func (s *stage) unlogged(t *testing.T, o *servers) {
	fulcio := o.running["fulcio"]
	fulcio.kill(t)
	alone := *fulcio
	alone.args = slices.Clone(fulcio.args)
	alone.args[slices.Index(alone.args, "--ct-log-url")+1] = ""
	s.serve(t, &alone)
	_, err := s.signer(t, o, 2).Bundle(t.Context(), statement())
	var untrusted *keyless.RootError
	if !errors.As(err, &untrusted) {
		t.Errorf("who trusts a log of certificates takes one of none: %v", err)
	}
	own := *o
	own.root, err = root.NewTrustedRoot(root.TrustedRootMediaType01, o.root.FulcioCertificateAuthorities(), nil, o.root.TimestampingAuthorities(), o.root.RekorLogs())
	must(t, err)
	if _, err := s.signer(t, &own, 2).Bundle(t.Context(), statement()); err != nil {
		t.Errorf("who trusts no log of certificates does not take one of none: %v", err)
	}
	alone.kill(t)
	s.serve(t, fulcio)
}

// statement is one to sign.
func statement() *sign.DSSEData {
	return &sign.DSSEData{Data: []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"00"}}],"predicateType":"x","predicate":{}}`), PayloadType: "application/vnd.in-toto+json"}
}

// signer signs as a job of GitHub, and gives up after a moment.
func (s *stage) signer(t *testing.T, o *servers, version uint32) *keyless.Signer {
	t.Helper()
	services, err := o.SigningConfig(version)
	must(t, err)
	trusted, err := o.root.MarshalJSON()
	must(t, err)
	signer, err := keyless.Open(t.Context(), keyless.Options{
		Identity: signing.Identity{Subject: sigstore.Identity(sigstore.GitHub, jobRepository, jobRef), Issuer: s.Sigstore.Issuer(sigstore.GitHub)},
		Token: func(context.Context, string) (string, error) {
			return s.Sigstore.Token(sigstore.GitHub, jobRepository, jobRef)
		},
		Services: services, TrustedRoot: trusted, Patience: time.Second,
	})
	must(t, err)
	return signer
}

// running is a program that runs, whose standard error is read as it comes.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	said  bytes.Buffer
}

func (p program) start(t *testing.T) *running {
	t.Helper()
	r := &running{cmd: exec.CommandContext(t.Context(), p.name, p.args...)}
	r.cmd.Dir, r.cmd.Env = p.dir, append(os.Environ(), p.env...)
	stderr, err := r.cmd.StderrPipe()
	must(t, err)
	r.lines = bufio.NewScanner(stderr)
	must(t, r.cmd.Start())
	return r
}

// next reads a line, unless there is none.
func (r *running) next() (line string, more bool) {
	more = r.lines.Scan()
	r.said.WriteString(r.lines.Text() + "\n")
	return r.lines.Text(), more
}

// waitFor reads up to a line that has a text.
func (r *running) waitFor(t *testing.T, text string) {
	t.Helper()
	for {
		line, more := r.next()
		if !more {
			t.Fatalf("it ends with %d without saying %q:\n%s", r.end(), text, &r.said)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// end reads the rest, and returns the exit code.
func (r *running) end() int {
	for {
		if _, more := r.next(); !more {
			_ = r.cmd.Wait() // the code says it
			return r.cmd.ProcessState.ExitCode()
		}
	}
}
