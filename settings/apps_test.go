package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// appsFile is a configuration of three apps.
const appsFile = `chain: sandbox
chains:
  sandbox: {id: 65535, rpc: "http://localhost:1", hub: "0x1234567890123456789012345678901234567890", market: "http://localhost:2", fees: legacy, development: true}
sign: {key: cosign.key}
wallet: {keystore: wallet.json}
build: {args: {A: top, B: top}}
order: {price: 1, volume: 10}
apps:
  - name: alpha
    image: localhost:5000/alpha
    build: {context: a}
  - name: beta
    image: localhost:5000/beta
    build: {context: b, args: {A: beta}}
    order: {price: 7}
    record: b/record.json
  - name: gamma
    image: localhost:5000/gamma
    build: {context: a, dockerfile: a/Dockerfile}
`

// folder makes a folder with a configuration and the contexts of its apps.
func folder(t *testing.T, text string) Sources {
	t.Helper()
	dir := t.TempDir()
	for _, context := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, context), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, context, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "mrelease.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Sources{Files: []string{file}, Getenv: func(string) string { return "" }}
}

func both() Purpose { return Purpose{Build: true, Publish: true} }

func TestAppsOverrideWhatAllHaveInCommon(t *testing.T) {
	from := folder(t, appsFile)
	all, err := LoadAll(from, both())
	if err != nil {
		t.Fatalf("%v: %v", err, err.(*Error).Evidence())
	}
	if len(all) != 3 {
		t.Fatalf("got %d apps, want 3", len(all))
	}
	beta, alpha := all[1], all[0]
	for _, c := range []struct{ what, got, want string }{
		{"beta's arguments", beta.Build.Args["A"] + " " + beta.Build.Args["B"], "beta top"},
		{"alpha's arguments", alpha.Build.Args["A"] + " " + alpha.Build.Args["B"], "top top"},
		{"alpha's record", string(alpha.Record), "dist/alpha/record.json"},
		{"beta's record", string(beta.Record), filepath.Join(filepath.Dir(from.Files[0]), "b/record.json")},
		{"beta's name", beta.AppName(), "beta"},
		{"beta's chain", beta.Chain, "sandbox"},
		{"beta's lock", beta.Apps.LockName("enclave.lock"), "enclave.beta.lock"},
		{"all locks", strings.Join(beta.Apps.LockNames("enclave.lock"), " "), "enclave.alpha.lock enclave.beta.lock enclave.gamma.lock"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if beta.Order.Price != 7 || beta.Order.Volume != 10 || alpha.Order.Price != 1 {
		t.Errorf("orders: got %v and %v", beta.Order, alpha.Order)
	}
}

func TestOneAppIsChosen(t *testing.T) {
	from := folder(t, appsFile)
	if _, err := Load(from, both()); err == nil || !strings.Contains(err.(*Error).First(), "alpha, beta, gamma") || err.(*Error).Remedy() != "say which app is meant: --only NAME" {
		t.Errorf("of several: got %v", err)
	}
	if common, err := Load(from, Purpose{}); err != nil || common.Apps.Chosen != "" || common.Chain != "sandbox" {
		t.Errorf("of what is about no app: got %v, %v", common.Apps, err)
	}
	from.Only = []string{"beta"}
	if beta, err := Load(from, both()); err != nil || beta.Apps.Chosen != "beta" || beta.Order.Price != 7 {
		t.Errorf("of beta: got %v, %v", beta.Apps, err)
	}
	from.Only = []string{"gamma", "alpha"}
	if all, err := LoadAll(from, both()); err != nil || len(all) != 2 || all[0].Apps.Chosen != "alpha" {
		t.Errorf("of two: got %d, %v", len(all), err)
	}
	from.Only = []string{"bta"}
	if _, err := LoadAll(from, both()); err == nil || !strings.Contains(err.(*Error).First(), "did you mean beta?") {
		t.Errorf("of one that is not there: got %v", err)
	}
}

func TestEnvironmentAndFlagsComeLast(t *testing.T) {
	from := folder(t, appsFile)
	from.Getenv = func(name string) string { return map[string]string{"MRELEASE_ORDER_PRICE": "9"}[name] }
	from.Only, from.Flags = []string{"beta"}, map[string]string{"image": "localhost:5000/other"}
	beta, err := Load(from, both())
	if err != nil || beta.Order.Price != 9 || beta.Image.Name() != "localhost:5000/other" {
		t.Errorf("got %d, %s, %v", beta.Order.Price, beta.Image, err)
	}
	from.Only = nil // the three would be pushed to one place
	if _, err := LoadAll(from, both()); err == nil || len(err.(*Error).Problems) != 2 {
		t.Errorf("got %v", err)
	}
}

// Each problem is told once, with the place where it is made.
func TestProblemsOfAllApps(t *testing.T) {
	from := folder(t, `chain: bellecour
sign: {key: awskms://x}
wallet: {keystore: wallet.json}
order: {volume: 0}
apps:
  - name: alpha
    build: {context: a}
    order: {price: -1}
  - name: beta
    image: localhost:5000/beta
    build: {context: missing}
    chain: bellecour
    version: 1.0.0
    ordr: {}
  - name: gamma
    image: localhost:5000/beta
    build: {context: a}
    order: {volume: 0}
    enclave: {timeout: 0s}
`)
	_, err := LoadAll(from, both())
	if err == nil {
		t.Fatal("it was taken")
	}
	var got []string
	for _, p := range err.(*Error).Problems {
		got = append(got, strings.TrimPrefix(p.Where, from.Files[0])+" "+p.Key+": "+strings.SplitN(p.Text, ",", 2)[0])
	}
	want := []string{
		":8:20 apps[0].order.price: want a whole number that is not negative",
		":6:9 apps[0].image: is missing: the repository to push to",
		":2:13 sign.key: ",
		":4:17 order.volume: must be between 1 and 9007199254740991",
		":12:12 apps[1].chain: is the same for all apps: it stands at the top of the file",
		":13:14 apps[1].version: is the same for all apps",
		":14:11 apps[1].ordr: unknown key",
		":11:22 apps[1].build.context: ",
		":18:21 apps[2].order.volume: must be between 1 and 9007199254740991",
		":19:24 apps[2].enclave.timeout: must be above 0",
		":16:12 apps[2].image: is localhost:5000/beta",
	}
	for _, w := range want {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(g string) bool { return !strings.HasPrefix(g, w) })); n != 1 {
			t.Errorf("told %d times: %s", n, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// No app's build may have what another one's key or secret is, whichever is released now.
func TestAppsAreKeptApart(t *testing.T) {
	from := folder(t, appsFile[:strings.Index(appsFile, "apps:")]+`apps:
  - name: alpha
    image: localhost:5000/alpha
    build: {context: a, secrets: {one: {env: BETAS}, two: {file: beta.pem}, three: {file: beta.txt}, four: {env: FREE}}}
    app-secret: {file: alpha.txt}
  - name: beta
    image: localhost:5000/beta
    build: {context: b, secrets: {five: {env: KEY}}}
    enclave: {key: beta.pem}
    app-secret: {env: BETAS}
  - name: gamma
    image: localhost:5000/gamma
    build: {context: b}
    enclave: {key: "env://KEY"}
    app-secret: {file: beta.txt}
`)
	dir := filepath.Dir(from.Files[0])
	for _, name := range []string{"beta.pem", "beta.txt", "alpha.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from.Only = []string{"alpha", "beta"}
	_, err := LoadAll(from, Purpose{Build: true})
	var got []string
	for _, p := range err.(*Error).Problems {
		got = append(got, p.Key+" "+strings.TrimPrefix(p.Text, dir+string(filepath.Separator)))
	}
	want := []string{
		"apps[0].build.secrets.one.env BETAS is a secret of another app, or opens a key of it: no build may have it",
		"apps[0].build.secrets.three.file beta.txt is a key of the release, or an app's secret: no build may have it",
		"apps[0].build.secrets.two.file beta.pem is a key of the release, or an app's secret: no build may have it",
		"apps[1].build.secrets.five.env KEY is a secret of another app, or opens a key of it: no build may have it",
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	var files []string
	for _, f := range Read(from).Apps()[0].Settings.KeyFiles() {
		files = append(files, f.Named+" "+filepath.Base(f.Path))
	}
	if want := []string{"sign.key cosign.key", "wallet.keystore wallet.json", "app-secret.file alpha.txt", "enclave.key of beta beta.pem", "app-secret.file of gamma beta.txt"}; !slices.Equal(files, want) {
		t.Errorf("got %q", files)
	}
}

func TestNamesOfApps(t *testing.T) {
	for text, want := range map[string]string{
		"apps: {a: {}}":                           "want a list of apps",
		"apps: [a]":                               "want keys and values",
		"apps: [{image: localhost:1/a}]":          "is missing",
		"apps: [{name: ../a}]":                    "want a name",
		"apps: [{name: a b}]":                     "want a name",
		"apps: [{name: [a]}]":                     "want a name",
		"apps: [{name: summary.md}]":              "no folder below dist",
		"apps: [{name: Image}]":                   "no folder below dist",
		"apps: [{name: a.}]":                      "no folder below dist",
		"apps: [{name: a}, {name: b}, {name: A}]": "the name of apps[0]",
		"apps: [" + strings.Repeat("{name: a},", MaxApps+1) + "]": "are 101, more than 100",
	} {
		c := Read(folder(t, text))
		if err, ok := c.Err().(*Error); !ok || !strings.Contains(err.First(), want) {
			t.Errorf("%.60s: got %v, want %q", text, c.Err(), want)
		}
	}
}

// Two apps that one name of ENS leads to would take it from each other.
func TestAppsOfOneENSName(t *testing.T) {
	const two = "app: {ens: a.apps.iexec.eth}\napps: [{name: a, image: localhost:1/a}, {name: b, image: localhost:1/b%s}]\n"
	for own, want := range map[string]bool{"": true, ", app: {ens: b.apps.iexec.eth}": false} {
		err := Read(folder(t, fmt.Sprintf(two, own))).Err()
		if told := err != nil && strings.Contains(err.Error()+fmt.Sprint(err.(*Error).Problems), "app.ens"); told != want {
			t.Errorf("%q: %v", own, err)
		}
	}
}

func TestALaterListOfAppsTakesTheEarlierOnesPlace(t *testing.T) {
	from, later := folder(t, appsFile), folder(t, "apps: [{name: delta, image: localhost:5000/delta, build: {context: b}}]\n")
	from.Files = append(from.Files, later.Files...)
	all, err := LoadAll(from, both())
	if err != nil || len(all) != 1 || all[0].Apps.Chosen != "delta" || all[0].Build.Args["A"] != "top" {
		t.Errorf("got %d, %v", len(all), err)
	}
	from.Only = []string{"a"}
	from.Files = []string{folder(t, "chain: bellecour\n").Files[0]}
	if _, err := LoadAll(from, Purpose{}); err == nil || !strings.Contains(err.(*Error).First(), "has one app only") {
		t.Errorf("--only without apps: got %v", err)
	}
}
