package publishtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sandbox/world"
)

// gone is a chain's profile with nothing where its services are: names that nobody answers to.
func gone(p poco.Chain) poco.Chain {
	p.RPC, p.Market = "http://node.invalid", "http://market.invalid"
	return p
}

// verified is how a verification went: its lines, how it ended, and what it told.
type verified struct {
	checks map[string]record.Check
	err    error
	told   string
}

func verifyBy(t *testing.T, e *evidence.Use, app common.Address, profile poco.Chain) (v verified) {
	t.Helper()
	v.checks = map[string]record.Check{}
	var subject record.Subject
	if e.Bundle != "" {
		r, err := e.Read()
		if err != nil {
			return verified{err: err}
		}
		subject = record.Given(r, e.Bundle)
	}
	w, err := e.Connect(t.Context(), profile)
	if err != nil {
		return verified{err: err}
	}
	w.Registry = e.Registry(registry.Client{})
	if e.Bundle == "" {
		subject, err = record.Seek(t.Context(), w, app)
	} else {
		err = subject.CheckDomain(profile)
	}
	if err != nil {
		return verified{err: err}
	}
	ended := record.Verify(t.Context(), w, subject, func(c record.Check) { v.checks[c.Name] = c })
	v.err = e.Keep(t.Context(), w, subject, func(format string, _ ...any) { v.told = format }, ended)
	return v
}

// saved is a release that was verified, and the file of that.
func saved(t *testing.T, w *world.World, c world.Chain, name string) (published, string) {
	t.Helper()
	p := publishRelease(t, w, c, name, "1.0.0")
	path := filepath.Join(t.TempDir(), "evidence.json")
	v := verifyBy(t, &evidence.Use{Save: path}, common.Address(p.App.Address), p.profile)
	if v.err != nil || !strings.HasPrefix(v.told, "%s is written") {
		t.Fatal(v.err, v.told)
	}
	return p, path
}

func blockOf(t *testing.T, path string) evidence.Block {
	t.Helper()
	f, err := evidence.Read(path)
	if err != nil || f.Proof == nil {
		t.Fatal(err, f.Unproven)
	}
	b, err := proof.ParseBlock(f.Proof.Header)
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Block(b.Hash.Hex())
}

// From a file a release is verified without any service, on both chains, and each line says
// by whose word. The world is closed meanwhile.
func TestVerifyFromAFile(t *testing.T) {
	t.Parallel()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules"})
	if err != nil {
		t.Fatal(err)
	}
	p, path := saved(t, w, w.V6, "kept")
	q, second := saved(t, w, w.V5, "kept5")
	s6, s5 := gone(p.profile), gone(q.profile)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		s    poco.Chain
	}{{path, s6}, {second, s5}} {
		for _, block := range []evidence.Block{"", blockOf(t, c.path)} {
			v := verifyBy(t, &evidence.Use{Bundle: c.path, Block: block}, common.Address{}, c.s)
			for name, got := range v.checks {
				if got.Err != nil {
					t.Errorf("%s: %v", name, got.Err)
				}
			}
			if v.err != nil {
				t.Fatal(v.err)
			}
			for name, want := range map[string]string{
				"image": "proved: ", "record": "signed by the app's owner", "signature": "signed ", "provenance": "signed ",
				"revocation": "what came later is not known", "order on market": "asserted by the market, as who made ", "order on chain": "signed by the owner: ",
			} {
				if !strings.Contains(v.checks[name].String(), want) {
					t.Errorf("%s: %s, want %q in it", name, v.checks[name], want)
				}
			}
			want := record.Asserted
			if block != "" {
				want = record.Proved
			}
			if got := v.checks["app"]; got.Word != want || !strings.Contains(got.Evidence, "block ") {
				t.Errorf("app: %s, want it %s", got, want)
			}
		}
	}
	// The same without a proof, and without the layers.
	f, err := evidence.Read(second)
	if err != nil {
		t.Fatal(err)
	}
	f.Proof, f.Unproven = nil, "the node gives none"
	f.Answers = slices.DeleteFunc(f.Answers, func(a evidence.Answer) bool {
		return strings.Contains(a.Question, "/blobs/") && !bytes.HasPrefix(a.Body, []byte("{"))
	})
	if err := f.Write(second); err != nil {
		t.Fatal(err)
	}
	v := verifyBy(t, &evidence.Use{Bundle: second}, common.Address{}, s5)
	var unmeasured *measure.UnmeasuredError
	if !errors.As(v.err, &unmeasured) || v.checks["app"].By != "the node, as who made "+second+" has it" || !strings.Contains(v.checks["layers"].Err.Error(), "does not hold all of the image's bytes") {
		t.Errorf("%v, %s, %s", v.err, v.checks["app"], v.checks["layers"])
	}
	for name, c := range v.checks {
		if c.Err != nil && name != "layers" {
			t.Errorf("%s: %v", name, c.Err)
		}
	}
	var unproven *proof.Error
	if v := verifyBy(t, &evidence.Use{Bundle: second, Block: evidence.Block(q.Order.Hash.Hex())}, common.Address{}, s5); !errors.As(v.err, &unproven) {
		t.Errorf("a block, and no proof: %v", v.err)
	}
}

// A file is whoever's: what is changed in it is found, or was nobody's word but theirs.
func TestAttackEvidence(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p, path := saved(t, w, w.V6, "honest")
	other, otherPath := saved(t, w, w.V6, "otherwise")
	_, foreignPath := saved(t, w, w.V5, "honest5")
	block, s := blockOf(t, path), gone(p.profile)
	theirs, err := evidence.Read(otherPath)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := evidence.Read(foreignPath)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v := verifyBy(t, &evidence.Use{Bundle: path, Block: block}, common.Address{}, s); v.err != nil {
		t.Fatal(v.err)
	}
	refused := func(t *testing.T, data []byte) {
		t.Helper()
		forged := filepath.Join(t.TempDir(), "forged.json")
		if err := os.WriteFile(forged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		v := verifyBy(t, &evidence.Use{Bundle: forged, Block: block}, common.Address{}, s)
		var network *net.OpError
		if v.err == nil || errors.As(v.err, &network) || len(v.err.Error()) > 5_000 {
			t.Errorf("it passes, asks somebody, or has many words: %.300v", v.err)
		}
		t.Logf("%.200v", v.err)
	}
	for name, forge := range map[string]func(f *evidence.File){
		"the proof is of another app":    func(f *evidence.File) { f.Proof = theirs.Proof },
		"the proof is of another chain":  func(f *evidence.File) { f.Proof = foreign.Proof },
		"the record is another's":        func(f *evidence.File) { f.Record = theirs.Record },
		"the record and proof are":       func(f *evidence.File) { f.Record, f.Proof = theirs.Record, theirs.Proof },
		"the record is of another chain": func(f *evidence.File) { f.Record = foreign.Record },
		"the record is changed":          func(f *evidence.File) { f.Record = strings.Replace(f.Record, "1.0.0", "1.0.1", 1) },
		"there is no record":             func(f *evidence.File) { f.Record = "" },
		"the header is another's":        func(f *evidence.File) { f.Proof.Header = foreign.Proof.Header },
		"the header is changed":          func(f *evidence.File) { f.Proof.Header[50] ^= 1 },
		"there is no proof":              func(f *evidence.File) { f.Proof = nil },
		"a proof has a huge node":        func(f *evidence.File) { f.Proof.App.Proof = append(f.Proof.App.Proof, make([]byte, 1<<20)) },
		"a proof has 10,000 nodes": func(f *evidence.File) {
			f.Proof.App.Proof = append(f.Proof.App.Proof, slices.Repeat(f.Proof.App.Proof[:1], 10_000)...)
		},
		"all answers are another's": func(f *evidence.File) { f.Answers = theirs.Answers },
		"there are no answers":      func(f *evidence.File) { f.Answers = []evidence.Answer{} },
		"10,000 answers": func(f *evidence.File) {
			f.Answers = nil
			for i := range 10_000 {
				f.Answers = append(f.Answers, evidence.Answer{Service: evidence.Node, Question: fmt.Sprintf("eth_call [%05d]", i), Status: http.StatusOK})
			}
		},
		"another schema":               func(f *evidence.File) { f.Schema = "mrelease.evidence/v2" },
		"a time beside UTC":            func(f *evidence.File) { f.Made = f.Made.In(time.FixedZone("", 3600)) },
		"answers are in another order": func(f *evidence.File) { slices.Reverse(f.Answers) },
		"an answer of nobody":          func(f *evidence.File) { f.Answers[0].Service = "oracle" },
		"the manifest is another's": func(f *evidence.File) {
			for i, a := range f.Answers {
				if strings.Contains(a.Question, "/manifests/") && a.Status == http.StatusOK {
					f.Answers[i].Body = append(slices.Clone(a.Body), '\n')
				}
			}
		},
		"the bundles' bytes are changed": func(f *evidence.File) {
			for i, a := range f.Answers {
				if strings.Contains(a.Question, "/blobs/") {
					f.Answers[i].Body = bytes.Replace(a.Body, []byte("a"), []byte("b"), 1)
				}
			}
		},
		"the order has another price in the market": func(f *evidence.File) {
			for i, a := range f.Answers {
				if a.Service == evidence.Market {
					f.Answers[i].Body = bytes.Replace(a.Body, []byte(`"appprice":7`), []byte(`"appprice":6`), 1)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := evidence.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			forge(&f)
			data, err := f.Encode()
			if err != nil {
				t.Fatal(err)
			}
			refused(t, data)
		})
	}
	// What is cut out is not taken for something that is not there.
	t.Run("an answer is cut out", func(t *testing.T) {
		for at, a := range theirs.Answers {
			if a.Service == evidence.Node || string(a.Body) == theirs.Record || bytes.Contains(a.Body, []byte("record.v1+json")) && !strings.Contains(a.Question, "/referrers/") {
				continue // the proof and the record in the file have what matters of these
			}
			f := theirs
			f.Answers = slices.Delete(slices.Clone(theirs.Answers), at, at+1)
			cut := filepath.Join(t.TempDir(), "cut.json")
			if err := f.Write(cut); err != nil {
				t.Fatal(err)
			}
			if v := verifyBy(t, &evidence.Use{Bundle: cut, Block: blockOf(t, otherPath)}, common.Address{}, s); v.err == nil {
				t.Errorf("without %s: all holds, and %s", a.Question, v.checks["revocation"])
			}
		}
	})
	for name, data := range map[string][]byte{
		"cut": raw[:len(raw)/2], "empty": nil, "a byte more": append(slices.Clone(raw), ' '), "nested": bytes.Repeat([]byte("["), 1000),
		"a field more": bytes.Replace(raw, []byte(`{`), []byte(`{"more":1,`), 1), "too large": make([]byte, bounds.Evidence+1),
	} {
		t.Run(name, func(t *testing.T) { refused(t, data) })
	}
	// One flipped byte anywhere is no other release: it is refused, or says the same.
	t.Run("a byte is flipped", func(t *testing.T) {
		flipped := filepath.Join(t.TempDir(), "flipped.json")
		for at := 0; at < len(raw); at += max(1, len(raw)/97) {
			data := slices.Clone(raw)
			data[at] ^= 1
			if err := os.WriteFile(flipped, data, 0o600); err != nil {
				t.Fatal(err)
			}
			v := verifyBy(t, &evidence.Use{Bundle: flipped, Block: block}, common.Address{}, s)
			if v.err == nil && (v.checks["app"].Word != record.Proved || v.checks["signature"].Word != record.Signed || len(v.checks) < 10) {
				t.Errorf("byte %d: %+v", at, v.checks)
			}
		}
	})
	// A file of before the order was closed says so at its block; one of after fails.
	t.Run("sold out since", func(t *testing.T) {
		if _, err := node.Close(t.Context(), connect(t, other.profile), other.owner, other.Order.Signed.AppOrder); err != nil {
			t.Fatal(err)
		}
		now, _, _ := proven(t, other)
		if v := verifyBy(t, &evidence.Use{Bundle: otherPath, Block: blockOf(t, otherPath)}, common.Address{}, s); v.err != nil || !strings.Contains(v.checks["order on chain"].Evidence, "as is proved at block ") {
			t.Errorf("as of before: %v, %s", v.err, v.checks["order on chain"])
		}
		theirs.Proof = &now
		if err := theirs.Write(otherPath); err != nil {
			t.Fatal(err)
		}
		var spent *node.OrderError
		if v := verifyBy(t, &evidence.Use{Bundle: otherPath, Block: blockOf(t, otherPath)}, common.Address{}, s); !errors.As(v.err, &spent) {
			t.Errorf("as of after: %v", v.err)
		}
	})
}
