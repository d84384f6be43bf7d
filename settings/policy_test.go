package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func readPolicy(t *testing.T, text string) (Policy, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"p.yaml": text, "a.pub": "", "root.json": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return ReadPolicy(filepath.Join(dir, "p.yaml"))
}

const (
	account = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	signer  = "0101010101010101010101010101010101010101010101010101010101010101"
)

func TestReadPolicy(t *testing.T) {
	p, err := readPolicy(t, `
owners: ["`+account+`"]
repositories: [ghcr.io/acme/hello, "ghcr.io/acme/*"]
signers: [{key: a.pub}, {identity: "https://github.com/a/b/.github/workflows/r.yml", issuer: "https://issuer.example"}]
trusted-root: root.json
enclave: {trust: known, bases: ["sha256:`+signer+`"], signers: ["`+signer+`"], isvsvn: 3}
require: [measurement, SBOM]
max-price: 7
`)
	if err != nil {
		t.Fatal(Problems(err))
	}
	if len(p.Owners) != 1 || len(p.Repositories) != 2 || len(p.Signers) != 2 || !filepath.IsAbs(string(p.Signers[0].Key)) || !filepath.IsAbs(string(p.Root)) ||
		p.Signers[1].Issuer != "https://issuer.example" || p.Enclave.SVN != 3 || p.MaxPrice != 7 || !reflect.DeepEqual(p.Require, List{"measurement", "SBOM"}) {
		t.Errorf("got %+v", p)
	}
}

// All that is wrong with a policy is said at once, with its place.
func TestReadPolicySaysAllProblems(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                       {"says nothing"},
		"owners: []\n":                           {"says nothing"},
		"max-price: 9007199254740991\n":          {"says nothing"},
		"max-price: 9007199254740992\n":          {"p.yaml:1:12: max-price: must be at most 9007199254740991"},
		"owner: [x]\n":                           {"p.yaml:1:8: owner: unknown key, did you mean owners?"},
		"owners: [x]\n":                          {"p.yaml:1:9: owners: want addresses"},
		"repositories: [\"*\", \"ghcr.io/A\"]\n": {`"*" is no repository`, `"ghcr.io/A" is no repository`},
		"signers: {key: a}\n":                    {"signers: want a list of signers"},
		"signers: [a.pub]\n":                     {"signers[0]: want keys and values"},
		"signers: [{}]\n":                        {"signers[0]: want a key, or an identity with its issuer"},
		"signers: [{key: a.pub, issuer: \"https://i\"}]\n":                              {"signers[0]: has a key beside an identity"},
		"signers: [{identity: \"https://a/b\"}]\n":                                      {"signers[0]: want a key, or an identity with its issuer"},
		"signers: [{issuer: i}]\n":                                                      {"signers[0].issuer: want an http"},
		"require: [signature, SBOM, layers]\n":                                          {`got "signature"`, `got "layers"`},
		"enclave: {isvsvn: 65536, trust: proven}\n":                                     {"isvsvn: must be at most 65535", "enclave.trust"},
		"signers: [{key: b.pub}]\ntrusted-root: .\n":                                    {"signers[0].key: ", "trusted-root: "},
		"repositories: [\"/*\", \"ghcr.io/*\"]\n":                                       {`"/*" is no repository`},
		"enclave: {isvsvn: 1}\n":                                                        {"stands without enclave.signers"},
		"enclave: {bases: [python], signers: [\"1\"]}":                                  {`enclave.bases: want digests`, `enclave.signers: want 64 hex digits`},
		"require: [SBOM]\n---\nrequire: [VEX]\n":                                        {"holds 2 YAML documents"},
		"signers: [{identity: nobody, issuer: \"https://i\"}]\ntrusted-root: root.json": {"signers[0].identity: want a URL"},
		"signers: [{identity: \"https://a/b\", issuer: \"https://i\"}]\n":               {"trusted-root does not say who may certify one"},
	} {
		_, err := readPolicy(t, text)
		var told []string
		for _, p := range Problems(err) {
			told = append(told, p.String())
			if !strings.Contains(p.Cure, "docs/policy.md") {
				t.Errorf("%q: the cure of %s is %q", text, p, p.Cure)
			}
		}
		if len(told) != len(want) {
			t.Errorf("%q: got %q", text, told)
			continue
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(told, "\n"), w) {
				t.Errorf("%q: got %q, want %q", text, told, w)
			}
		}
	}
}

// docs/policy.md has what the tags say, and no other keys.
func TestDocumentationListsTheKeysOfAPolicy(t *testing.T) {
	page, err := os.ReadFile(root + "docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| key | meaning |\n|---|---|\n" + strings.Join(policyRows(reflect.TypeFor[Policy](), ""), "\n") + "\n\n"
	if !strings.Contains(string(page), want) {
		t.Errorf("docs/policy.md does not have this table of keys:\n%s", want)
	}
	for _, word := range RequiredLinks() {
		if doc, _ := reflect.TypeFor[Policy]().FieldByName("Require"); !strings.Contains(doc.Tag.Get("doc"), word) {
			t.Errorf("the key require does not say that %s can be required", word)
		}
	}
}

func policyRows(t reflect.Type, prefix string) (rows []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, text := prefix+field.Tag.Get("yaml"), field.Tag.Get("doc")
		if s := valueSchema(reflect.Zero(field.Type).Interface()); s != nil && len(s.Enum) > 0 {
			text += ": `" + strings.Join(s.Enum, "`, `") + "`"
		}
		if field.Type == reflect.TypeFor[AcceptedEnclave]() {
			rows = append(rows, policyRows(field.Type, name+".")...)
			continue
		}
		rows = append(rows, "| `"+name+"` | "+text+" |")
		if field.Type == reflect.TypeFor[AcceptedSigners]() {
			rows = append(rows, policyRows(field.Type.Elem(), name+"[].")...)
		}
	}
	return rows
}
