package settings

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mrelease/mrelease/iexeccli"
)

const root = "../"

func schemaText(t *testing.T) string {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSchemaIsShipped(t *testing.T) {
	shipped, err := os.ReadFile(root + "mrelease.schema.json")
	if err != nil || string(shipped) != schemaText(t) {
		t.Errorf("mrelease.schema.json is not what the configuration is (%v); write it anew: go run ./cmd/mrelease check --schema > mrelease.schema.json", err)
	}
}

// validate returns what the schema says of a YAML text.
func validate(t *testing.T, text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(value)
}

func TestTheSchemaTakesWhatIsShipped(t *testing.T) {
	example, err := os.ReadFile(root + "examples/hello-python/mrelease.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the example":     string(example),
		"what init gives": Template(iexeccli.Project{}),
		"all of it":       everyKey,
	} {
		if err := validate(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A value of every key, in the forms that the decoder takes.
const everyKey = `
image: ghcr.io/acme/hello
name: hello
build:
  context: .
  dockerfile: Dockerfile
  target: app
  args: {A: text, B: 1, C: true}
  contexts: {base: "docker-image://python:3.12"}
  bases: {"python:3.12": "sha256:0123456789012345678901234567890123456789012345678901234567890123"}
  secrets: {a: {env: A}, b: {file: b}}
  network: none
  compression: zstd
  cache: {repository: ghcr.io/acme/hello-cache, mode: min, read-only: true, releases: true, timeout: 90s}
enclave:
  format: json
  fingerprint-file: /f
  timeout: 1h2m3.5s
  trust: computed
  seal: binary-fs
  toolchain: "docker-image://a@sha256:0123456789012345678901234567890123456789012345678901234567890123"
  regions: [/app]
  program: /app/a
  stack: 1M
  dlopen: 1
  mprotect: true
  key: k
  isvprodid: 1
  isvsvn: 1
  allow-debug: true
  signers: ["0123456789012345678901234567890123456789012345678901234567890123"]
  framework: F
  version: v5
  entrypoint: /a b
  heap: 1G
sign:
  key: "env://KEY"
  public-key: cosign.pub
  keyless: {token: github, issuer: "https://i", identity: "https://w", audience: a, signing-config: public, allow-pull-requests: true}
  trusted-root: root.json
  layout: tags
attest:
  sbom: "docker-image://a@sha256:0123456789012345678901234567890123456789012345678901234567890123"
  vex: hello.vex.json
chain: mine
chains:
  mine: {id: 1, rpc: "http://localhost:1", hub: "0x1234567890123456789012345678901234567890", market: "https://m", sms: "https://s", gateway: "https://g", ens: "0x1234567890123456789012345678901234567890", fees: legacy, max-fee-per-gas: 1000000000, confirmations: 3, development: true}
  other: {rpc: ["http://localhost:1", "https://n/key"]}
wallet: {keystore: w, clef: c, kms: "awskms:///alias/release", address: "0x1234567890123456789012345678901234567890", allow-raw-key: true, safe: "0x1234567890123456789012345678901234567890"}
app:
  ens: hello.apps.iexec.eth
  groups: ["0x1234567890123456789012345678901234567890"]
order:
  price: 1
  volume: 2
  tag: [tee, gpu]
  datasetrestrict: "0x1234567890123456789012345678901234567890"
  workerpoolrestrict: "0x1234567890123456789012345678901234567890"
  requesterrestrict: "0x1234567890123456789012345678901234567890"
  retire: unpublish
  overlap: 24h
app-secret: {env: APP_SECRET, file: app-secret}
canary: {run: true, workerpool: "0x1234567890123456789012345678901234567890", max-price: 1, category: 1, params: a, deposit: true, file: f, digest: "sha256:0123456789012345678901234567890123456789012345678901234567890123", judge: j, judge-timeout: 1m, timeout: 1h}
record: r.json
project: p
apps: [{name: a, image: ghcr.io/acme/a, build: {args: {A: 1}}, order: {price: 1, tag: [tee]}}, {name: b, image: ghcr.io/acme/b, app: {ens: b.apps.iexec.eth}, record: b.json, project: q}]
builders: [{address: "tcp://buildkitd:1234", ca: ca.pem, cert: cert.pem, key: key.pem, builds: 4}, "kube-pod://buildkitd-0"]
`

// The schema and the decoder take and refuse the same.
func TestTheSchemaAgreesWithTheDecoder(t *testing.T) {
	dir := t.TempDir()
	decodes := func(text string) bool {
		file := dir + "/c.yaml"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c := Read(Sources{Files: []string{file}, Getenv: func(string) string { return "" }})
		return c.Err() == nil
	}
	if !decodes(everyKey) {
		t.Error("the decoder refuses everyKey")
	}
	for _, row := range keyRows(settingsSchema(), reflect.TypeFor[Settings](), "") {
		key := strings.Split(row, "`")[1]
		if !strings.Contains(everyKey, key[strings.LastIndex(key, ".")+1:]+":") {
			t.Errorf("everyKey lacks %s", key)
		}
	}
	for _, text := range []string{
		"order: {tag: tee}", "order: {tag: 0x1}", `order: {tag: "0x1"}`, `order: {tag: "tee, tdx"}`, "order: {tag: [tee]}", "order: {tag: [sgx]}", `order: {tag: "0xg"}`,
		"order: {price: -1}", "order: {price: 1.5}", "order: {price: 0}", "order: {price: [1]}",
		"chian: x", "build: {contxt: x}", "build: .", "build: {network: host}", "build: {network: lan}", "build: {args: {A: [1]}}", "build: {bases: {a: latest}}",
		"chains: {x: {fees: eip1559}}", "chains: {x: {fees: free}}", "chains: {x: {rpc: \"ftp://x\"}}", "chains: {x: {rpc: [\"https://x\", 3]}}", "chains: {x: {confirmations: -1}}", "chains: {x: {hub: \"0x1\"}}", "chains: {x: {id: one}}", "chains: {x: 1}",
		"enclave: {heap: 1G}", "enclave: {heap: 1024}", "enclave: {heap: 1T}", "enclave: {timeout: soon}", "enclave: {timeout: 90s}", "enclave: {format: xml}",
		"wallet: {kms: \"awskms:///alias/a\"}", "wallet: {kms: \"awskms://alias/a\"}", "wallet: {kms: \"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k\"}", "wallet: {kms: \"azurekms://v/k\"}", "wallet: {allow-raw-key: true}", `wallet: {allow-raw-key: "yes"}`, "record: {a: b}",
		"enclave: {regions: [{a: b}, /app]}", "enclave: {regions: [/app, {a: b}]}", "enclave: {regions: []}", "order: {tag: [[tee], tee]}",
		"apps: []", "apps: {}", "apps: [{name: a}]", "apps: [a]", "apps: [{image: localhost:1/a}]", "apps: [{name: a b}]", "apps: [{name: a, chain: bellecour}]", "apps: [{name: a, version: 1.0.0}]", "apps: [{name: a, order: {price: x}}]", "apps: [{name: a, apps: []}]", "apps: [{name: a, wallet: {}}]",
		"builders: []", "builders: {}", "builders: [\"tcp://a:1\"]", "builders: [{address: \"tcp://a:1\", builds: 2}]", "builders: [{address: \"tcp://a:1\", builds: x}]", "builders: [{adress: x}]", "builders: [[x]]", "apps: [{name: a, builders: []}]",
	} {
		if bySchema, byDecoder := validate(t, text) == nil, decodes(text); bySchema != byDecoder {
			t.Errorf("%s: taken by the schema: %t, by the decoder: %t", text, bySchema, byDecoder)
		}
	}
}

// keyRows are the rows of the table of keys in docs/configuration.md.
func keyRows(s *schema, t reflect.Type, prefix string) []string {
	var rows []string
	for i := range t.NumField() {
		name := prefix + t.Field(i).Tag.Get("yaml")
		child, typ := s.Properties[t.Field(i).Tag.Get("yaml")], t.Field(i).Type
		if entry, ok := child.Additional.(*schema); ok && typ.Elem().Kind() == reflect.Struct {
			child, typ, name = entry, typ.Elem(), name+".<"+map[string]string{"chains": "name", "build.secrets": "id"}[name]+">"
		}
		if len(child.Properties) > 0 {
			rows = append(rows, keyRows(child, typ, name+".")...)
			continue
		}
		standard := ""
		if child.Default != nil {
			standard = fmt.Sprintf("`%v`", child.Default)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", name, meaning(child), standard))
		if child.Items != nil && len(child.Items.AnyOf) > 0 { // a list of what has keys
			rows = append(rows, keyRows(&child.Items.AnyOf[1], typ.Elem(), name+"[].")...)
		}
	}
	return rows
}

// meaning is a key's description, with the values that it does not name.
func meaning(s *schema) string {
	text := strings.ReplaceAll(s.Description, "|", `\|`)
	enum := s.Enum
	if len(s.AnyOf) > 0 {
		enum = s.AnyOf[0].Enum
	}
	if slices.ContainsFunc(enum, func(v string) bool { return !strings.Contains(text, v) }) {
		text += ": `" + strings.Join(enum, "`, `") + "`"
	}
	return text
}

func TestDocumentationListsTheKeysOfTheSchema(t *testing.T) {
	readme, err := os.ReadFile(root + "docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := keyRows(settingsSchema(), reflect.TypeFor[Settings](), "")
	if want := "| key | meaning | default |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n\n"; !strings.Contains(string(readme), want) {
		t.Errorf("docs/configuration.md does not have this table of keys:\n%s", want)
	}
}

func TestEveryKeyHasADescription(t *testing.T) {
	var look func(s *schema, key string)
	look = func(s *schema, key string) {
		if s.Description == "" && !strings.HasSuffix(key, ">") {
			t.Errorf("%s has no description", key)
		}
		for name, child := range s.Properties {
			look(child, key+"."+name)
		}
		if entry, ok := s.Additional.(*schema); ok && len(entry.Properties) > 0 {
			look(entry, key+".<>")
		}
	}
	look(settingsSchema(), "mrelease.yaml")
}
