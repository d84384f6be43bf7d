package record_test

import (
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sbom"
)

func wallet(t *testing.T, key string) node.Wallet {
	t.Helper()
	w, err := node.ParseKey(strings.Repeat(key, 32))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// unsigned returns a record whose parts agree with each other.
func unsigned(owner common.Address) record.Record {
	digest := func(c string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(c, 64)} }
	app := common.HexToAddress("0x1111111111111111111111111111111111111111")
	order := poco.SignedAppOrder{AppOrder: poco.AppOrder{App: app, AppPrice: new(big.Int), Volume: big.NewInt(1), Tag: poco.TEE()}, Sign: []byte{1, 2, 3}}
	m := measure.MRENCLAVE{1, 2, 3}
	r := record.Record{
		Schema: record.Schema, Version: "1.0.0",
		Source:  record.Source{Commit: strings.Repeat("c", 40), Epoch: 1_700_000_000, Inputs: digest("a")},
		Image:   record.Image{Reference: "registry.example/app:1.0.0", Digest: digest("b"), Config: digest("d"), PublicKey: "-----BEGIN PUBLIC KEY-----\n"},
		Enclave: record.Enclave{Format: measure.Legacy, MRENCLAVE: &m, Value: measure.Fingerprint{MRENCLAVE: m}.String(), File: "/conf/fingerprint.txt"},
		App: record.App{
			Chain: "bellecour", ChainID: 134, Hub: record.Address{19: 1}, Registry: record.Address{19: 2}, Address: record.Address(app),
			Owner: record.Address(owner), Name: "app", Checksum: common.HexToHash(strings.Repeat("b", 64)),
		},
		Order: record.Order{Signed: order},
	}
	r.Order.Hash = order.Hash(r.Domain())
	return r
}

// write signs a record and returns its bytes.
func write(t *testing.T, r record.Record, w node.Wallet) []byte {
	t.Helper()
	if err := r.Sign(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dist", "record.json")
	if err := r.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A record says of the enclave what the value on chain says, however its owner signs it.
func TestAttackWithAMeasurementThatIsNotTheValue(t *testing.T) {
	w := wallet(t, "01")
	whole := unsigned(w.Address).Enclave
	object := measure.Object{Framework: "SCONE", Version: "v5", Entrypoint: "/app", HeapSize: 1, Fingerprint: *whole.MRENCLAVE}
	other := measure.MRENCLAVE{9}
	const manifest = `{"schemaVersion":2,"layers":[]}`
	digest, _, err := v1.SHA256(strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	base := measure.Base{Name: "base@" + digest.String(), Documents: []string{manifest}}
	signer := sgx.MRSIGNER{1}
	rests := func(b measure.Basis) record.Enclave {
		return record.Enclave{Format: measure.Legacy, MRENCLAVE: whole.MRENCLAVE, Value: whole.Value, Basis: &b}
	}
	signed := rests(measure.Basis{Trust: measure.TrustComputed, Program: "/app", Signer: &signer})
	signed.Signature = &record.Signature{Program: "/app", MRSIGNER: signer}
	for name, e := range map[string]record.Enclave{
		"none with a value":         {Format: measure.None, Value: whole.Value},
		"none with an MRENCLAVE":    {Format: measure.None, MRENCLAVE: whole.MRENCLAVE},
		"none with a file":          {Format: measure.None, File: whole.File},
		"none with a signature":     {Format: measure.None, Signature: &record.Signature{}},
		"no MRENCLAVE":              {Format: measure.Legacy, Value: whole.Value},
		"no value":                  {Format: measure.Legacy, MRENCLAVE: whole.MRENCLAVE},
		"another MRENCLAVE":         {Format: measure.Legacy, Value: whole.Value, MRENCLAVE: &other},
		"an object as legacy":       {Format: measure.Legacy, Value: object.String(), MRENCLAVE: whole.MRENCLAVE},
		"a fingerprint as json":     {Format: measure.JSON, Value: whole.Value, MRENCLAVE: whole.MRENCLAVE},
		"none with a basis":         {Format: measure.None, Basis: &measure.Basis{Trust: measure.TrustStated}},
		"known by no base":          rests(measure.Basis{Trust: measure.TrustKnown, Program: "/app"}),
		"known by another manifest": rests(measure.Basis{Trust: measure.TrustKnown, Base: &measure.Base{Name: base.Name, Documents: []string{manifest + " "}}}),
		"known by no manifest":      rests(measure.Basis{Trust: measure.TrustKnown, Base: &measure.Base{Name: base.Name}}),
		"stated by a base":          rests(measure.Basis{Trust: measure.TrustStated, Base: &base}),
		"computed by nobody":        rests(measure.Basis{Trust: measure.TrustComputed, Program: "/app"}),
		"computed by no signature":  rests(measure.Basis{Trust: measure.TrustComputed, Signer: &signer}),
		"of another trust":          rests(measure.Basis{Trust: "proven"}),
		"another MRENCLAVE in JSON": {Format: measure.JSON, Value: object.String(), MRENCLAVE: &other},
	} {
		t.Run(name, func(t *testing.T) {
			r := unsigned(w.Address)
			r.Enclave = e
			var wrong *record.Error
			if _, err := record.Parse(write(t, r, w)); !errors.As(err, &wrong) {
				t.Errorf("got %v, want a *record.Error", err)
			}
		})
	}
	for _, e := range []record.Enclave{signed, rests(measure.Basis{Trust: measure.TrustKnown, Base: &base}), rests(measure.Basis{Trust: measure.TrustStated}), whole, {Format: measure.None}, {Format: measure.JSON, Value: object.String(), MRENCLAVE: whole.MRENCLAVE}} {
		r := unsigned(w.Address)
		r.Enclave = e
		if _, err := record.Parse(write(t, r, w)); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// Whatever byte of a record is changed, dropped, or put in: it does not parse.
func TestEveryByteOfARecordCounts(t *testing.T) {
	w := wallet(t, "01")
	good := write(t, unsigned(w.Address), w)
	if _, err := record.Parse(good); err != nil {
		t.Fatal(err)
	}
	refused := func(change string, at int, data []byte) {
		var wrong *record.Error
		if _, err := record.Parse(data); !errors.As(err, &wrong) {
			t.Errorf("byte %d (%q) %s: got %v, want a *record.Error", at, good[max(0, at-10):min(len(good), at+10)], change, err)
		}
	}
	for i, b := range good {
		for _, other := range []byte{b ^ 1, b ^ 0x20, ' ', '0'} {
			if other != b {
				changed := append([]byte(nil), good...)
				changed[i] = other
				refused("changed", i, changed)
			}
		}
		refused("dropped", i, append(append([]byte(nil), good[:i]...), good[i+1:]...))
		refused("before a new one", i, append(append(append([]byte(nil), good[:i]...), ' '), good[i:]...))
	}
	refused("and one more", len(good), append(append([]byte(nil), good...), '\n'))
}

// A record that its owner signed must not contradict itself.
func TestPartsOfARecordAgree(t *testing.T) {
	w := wallet(t, "01")
	for problem, change := range map[string]func(*record.Record){
		"is of another schema":        func(r *record.Record) { r.Schema = "mrelease.record/v0" },
		"is not signed by the app's":  func(r *record.Record) { r.App.Owner = record.Address(wallet(t, "02").Address) },
		"has another checksum":        func(r *record.Record) { r.App.Checksum = common.Hash{1} },
		"has an order of another app": func(r *record.Record) { r.App.Address = record.Address{1} },
		"has another order than its":  func(r *record.Record) { r.Order.Hash = common.Hash{1} },
		"names an SBOM of another":    func(r *record.Record) { r.SBOM = listed("https://cyclonedx.org/bom", "scanner") },
		"names an SBOM of no scanner": func(r *record.Record) { r.SBOM = listed(sbom.Type, "") },
		"hides that its measurement":  func(r *record.Record) { copy(r.Enclave.MRENCLAVE[:], measure.SyntheticPrefix) },
	} {
		r := unsigned(w.Address)
		change(&r)
		var wrong *record.Error
		if _, err := record.Parse(write(t, r, w)); !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Problem, problem) {
			t.Errorf("got %v, want the problem %q", err, problem)
		}
	}
}

// listed is what a record says of an SBOM.
func listed(predicateType, scanner string) *record.SBOM {
	digest := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}
	return &record.SBOM{Type: predicateType, Digest: digest, Scanner: record.Material{URI: scanner, Digest: record.Digest{Hash: digest}}}
}

func TestARecordNamesItsSBOM(t *testing.T) {
	w := wallet(t, "01")
	r := unsigned(w.Address)
	r.SBOM = listed(sbom.Type, "docker-image://docker.io/acme/scanner")
	read, err := record.Parse(write(t, r, w))
	if err != nil || *read.SBOM != *r.SBOM {
		t.Errorf("%v, %v", read.SBOM, err)
	}
}

func TestWriteFileReplacesWhole(t *testing.T) {
	w := wallet(t, "01")
	r := unsigned(w.Address)
	if err := r.Sign(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "record.json")
	for range 2 {
		if err := r.WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	read, err := record.ReadFile(path)
	if err != nil || read.Order.Hash != r.Order.Hash {
		t.Errorf("read back %v, %v", read.Order.Hash, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("beside the record lie %v, %v", entries, err)
	}
	if err := r.WriteFile(dir); err == nil {
		t.Error("a folder was replaced")
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
		t.Errorf("a failed write left %v, %v", entries, err)
	}
}

// What a release tries before it ends: were a changed record taken, or that of another
// app, it would end in that.
func TestControl(t *testing.T) {
	owner := wallet(t, "11")
	r := unsigned(owner.Address)
	if err := r.Sign(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	if err := r.Control(); err != nil {
		t.Error(err)
	}
}
