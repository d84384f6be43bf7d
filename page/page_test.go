package page_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a page with the file that holds it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", name, got)
	}
}

func hash(digit string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)} }

func mrenclave(t *testing.T, digit string) *measure.MRENCLAVE {
	t.Helper()
	var m measure.MRENCLAVE
	if err := m.UnmarshalText([]byte(strings.Repeat(digit, 64))); err != nil {
		t.Fatal(err)
	}
	return &m
}

func result(t *testing.T) release.Result {
	t.Helper()
	rec := record.Record{
		Version: "1.2.0", Source: record.Source{Commit: strings.Repeat("c0", 20), Inputs: hash("1")},
		Image:   record.Image{Reference: "ghcr.io/acme/hello:1.2.0", Digest: hash("2"), Config: hash("3")},
		Enclave: record.Enclave{Format: measure.Legacy, MRENCLAVE: mrenclave(t, "4"), Value: "aa|bb|" + strings.Repeat("4", 64)},
		App:     record.App{Chain: "bellecour", ChainID: 134, Name: "hello", Address: record.Address(common.HexToAddress("0x5"))},
		Order:   record.Order{Hash: common.HexToHash("0x6"), Signed: poco.SignedAppOrder{Sign: []byte{6}}},
	}
	rec.Source.Materials = []record.Material{{URI: "pkg:docker/python@3.12", Digest: record.Digest{Hash: hash("7")}}}
	return release.Result{
		Record: rec, Made: []string{"image", "app"},
		Registration: apps.Registration{Address: common.HexToAddress("0x5"), Created: true, Tx: common.HexToHash("0x8")},
		Offering:     orders.Offering{Hash: common.HexToHash("0x6")},
	}
}

func context() page.Context {
	c := page.Context{
		Run:     ci.Run{System: ci.GitHub, Event: "push", Ref: "refs/tags/v1.2.0", URL: "https://github.com/acme/hello/actions/runs/7", Workflow: "acme/hello/.github/workflows/release.yml@refs/tags/v1.2.0"},
		Configs: []string{"mrelease.yaml"}, Lock: "enclave.lock",
		Steps: []page.Step{
			{Name: "build", Took: 2310 * time.Millisecond, Evidence: "sha256:2222…"},
			{Name: "register", Took: 60 * time.Millisecond, Evidence: "app 0x05"},
		},
	}
	c.BesideRecord("dist/record.json")
	return c
}

func TestReleaseSummary(t *testing.T) {
	golden(t, "release.md", page.NewRelease(result(t), context()).Summary())
	c := context()
	c.Accepted = &lock.Lock{MRENCLAVE: mrenclave(t, "4")}
	again := result(t)
	again.Made, again.Registration.Created, again.Registration.Tx = nil, false, common.Hash{}
	a := page.NewRelease(again, c)
	golden(t, "again.md", a.Summary())
	if a.MRENCLAVEChanged != "false" || len(a.Next()) != 1 || a.Verdict() == page.NewRelease(result(t), context()).Verdict() {
		t.Errorf("%+v", a.Identity)
	}
}

// What comes next is about the same app: accept reads the files that the release read.
func TestNextNamesTheConfiguration(t *testing.T) {
	c := context()
	for _, test := range []struct {
		configs []string
		want    string
	}{
		{c.Configs, "mrelease accept dist/record.json && git add enclave.lock"},
		{[]string{"mrelease.yaml", "the world.yaml"}, "mrelease accept --config mrelease.yaml --config 'the world.yaml' dist/record.json && git add enclave.lock"},
	} {
		c.Configs = test.configs
		if got := page.NewRelease(result(t), c).Next(); len(got) != 2 || got[1] != test.want {
			t.Errorf("%q: %q, want %q", test.configs, got, test.want)
		}
	}
}

func TestPlanSummary(t *testing.T) {
	p := release.Plan{
		Version: "1.3.0", Commit: strings.Repeat("c0", 20), Wallet: "0x0000000000000000000000000000000000000009", Inputs: hash("1"), Image: "ghcr.io/acme/hello:1.3.0",
		Findings: []release.Finding{
			{Name: "image", State: release.ToMake, Evidence: "ghcr.io/acme/hello:1.3.0 is free"}, {Name: "app", State: release.ToMake, Evidence: "a new one"},
			{Name: "order", State: release.Unknown, Evidence: "known when the app is"}, {Name: "cost", Evidence: "0 gas"},
		},
		Bound: approval.Plan{Hash: strings.Repeat("ab", 32), Cost: approval.Cost{Max: "8000000"}},
	}
	golden(t, "plan.md", page.NewPlan(p, context()).Summary())
	c := context()
	c.Accepted = &lock.Lock{MRENCLAVE: mrenclave(t, "4")}
	p.AppAddress, p.OrderHash = common.HexToAddress("0x5").Hex(), common.HexToHash("0x6").Hex()
	p.Findings[1] = release.Finding{Name: "app", State: release.There, Evidence: "it is there"}
	a := page.NewPlan(p, c)
	golden(t, "planned.md", a.Summary())
	c.Before = &page.Before{Seen: true, Lock: &lock.Lock{MRENCLAVE: mrenclave(t, "3"), Settings: map[string]string{"heap": "1G"}}}
	c.Accepted.Settings = map[string]string{"heap": "2G"}
	changed := page.NewPlan(p, c)
	golden(t, "proposed.md", changed.Summary())
	c.Before.Lock.MRENCLAVE = c.Accepted.MRENCLAVE
	same := page.NewPlan(p, c)
	if changed.MRENCLAVEChanged != "true" || same.MRENCLAVEChanged != "false" || a.MRENCLAVEChanged != "" || !strings.Contains(same.Summary(), ", as before") {
		t.Errorf("changed: %q, %q and %q", changed.MRENCLAVEChanged, same.MRENCLAVEChanged, a.MRENCLAVEChanged)
	}
	c.Before = &page.Before{}
	if unseen := page.NewPlan(p, c); unseen.MRENCLAVEChanged != "" || !strings.Contains(unseen.Summary(), "fetch-depth") {
		t.Errorf("unseen: %+v", unseen.Identity)
	}
	outputs, err := a.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, o := range outputs {
		values[o.Name] = o.Value
	}
	if values["already-registered"] != "true" || values["already-published"] != "false" || values["app-address"] != p.AppAddress || values["summary-path"] != "dist/summary.md" || values["plan-hash"] != a.Hash {
		t.Errorf("outputs %q", values)
	}
}

func TestDriftSummary(t *testing.T) {
	c := context()
	c.Accepted = &lock.Lock{MRENCLAVE: mrenclave(t, "4")}
	c.Steps[1] = page.Step{Name: "lock", Took: time.Second, Err: errors.New("the enclave is not the accepted one")}
	newer := lock.Lock{MRENCLAVE: mrenclave(t, "5"), Settings: map[string]string{"heap": "2G"}}
	older := lock.Lock{MRENCLAVE: mrenclave(t, "4"), Settings: map[string]string{"heap": "1G"}}
	drift := &lock.DriftError{File: "enclave.lock", Changes: lock.Drift(older, newer)}
	f := page.NewFailure(page.Failure{Command: "mrelease release", Code: "E-ENCLAVE-DRIFT", What: drift.Error(), Evidence: drift.Evidence(), Remedy: "mrelease accept"}, fmt.Errorf("checking: %w", drift))
	golden(t, "drift.md", f.Summary(c))
	outputs, err := f.Outputs(c, map[string]string{"code": f.Code})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
		if o.Name == "mrenclave-changed" && o.Value != "true" || o.Name == "mrenclave" && o.Value != strings.Repeat("5", 64) || o.Name == "result-json" && o.Value != `{"code":"E-ENCLAVE-DRIFT"}` {
			t.Errorf("output %+v", o)
		}
	}
}

func TestVerificationSummary(t *testing.T) {
	c := context()
	c.Steps = append(c.Steps, page.Step{Name: "measurement", Err: errors.New("no builder"), Open: true})
	v := page.NewVerification(page.Asked{Chain: "bellecour", ID: 134, Node: "https://node.example", Market: "https://market.example"}, record.Given(result(t).Record, "dist/record.json"), "dist/record.json")
	var unmeasured *measure.UnmeasuredError
	if err := v.Conclude([]error{nil, nil, &measure.UnmeasuredError{Err: errors.New("no builder")}}); !errors.As(err, &unmeasured) {
		t.Fatal(err)
	}
	golden(t, "verify.md", v.Summary(c))
}

// A verdict is what its links are: one that was not looked at is none that holds.
func TestVerdict(t *testing.T) {
	unchecked, unrecorded, wrong := &record.UncheckedError{Why: "x"}, &record.UnrecordedError{}, errors.New("wrong")
	unmeasured := &measure.UnmeasuredError{Err: &measure.NotRunError{}}
	for _, c := range []struct {
		links   []error
		verdict string
		ends    error
	}{
		{[]error{nil, nil}, "PASSED", nil},
		{[]error{nil, unmeasured}, "INCOMPLETE: the measurement was not checked", unmeasured},
		{[]error{nil, unrecorded, unchecked, unmeasured}, "INCOMPLETE: there is no record by the app's owner", unrecorded},
		{[]error{nil, unchecked, unmeasured}, "INCOMPLETE: not all links could be looked at", unchecked},
		{[]error{unchecked, wrong, unrecorded}, "FAILED", wrong},
		{[]error{wrong, unmeasured}, "FAILED", wrong},
		{[]error{nil, unchecked}, "INCOMPLETE: not all links could be looked at", unchecked},
	} {
		var v page.Verification
		err := v.Conclude(c.links)
		if errors.Is(err, unmeasured) && c.ends != unmeasured {
			t.Errorf("%v: %v, of which the measurement would be told alone", c.links, err)
		}
		if v.Verdict() != c.verdict || v.OK != (c.ends == nil) || !errors.Is(err, c.ends) {
			t.Errorf("%v: %s, ok %t, %v; want %s", c.links, v.Verdict(), v.OK, err, c.verdict)
		}
	}
}

// What a file says of the chain is no pass, unless it is proven at a block that was given.
func TestAttackVerdictOfAFile(t *testing.T) {
	unmeasured := &measure.UnmeasuredError{Err: &measure.NotRunError{}}
	for name, block := range map[string]*page.Block{"unproven": nil, "at a block of its maker": {}, "at a block that was given": {Given: true}} {
		given := block != nil && block.Given
		for _, links := range [][]error{{nil, nil}, {nil, unmeasured}} {
			v := page.NewVerification(page.Asked{Bundle: "evidence.json", Block: block}, record.Subject{}, "evidence.json")
			err := v.Conclude(links)
			var unchecked *record.UncheckedError
			if errors.As(err, &unchecked) == given || v.OK != (err == nil) || strings.HasPrefix(v.Verdict(), "PASSED") != v.OK {
				t.Errorf("%s: %s, ok %t, %v", name, v.Verdict(), v.OK, err)
			}
		}
	}
}

const hostile = "a` | evil |\n\n# PASSED\n<b>x</b> [l](https://evil) @all ``` </details>\x1b[2J\n::error::evil\n```\n"

// Whatever a name, an evidence or an error says, it is code in its cell or block: taken
// away, nothing of it is left.
func TestAttackSummary(t *testing.T) {
	r, c := result(t), context()
	r.Record.App.Name, r.Record.Version, r.Record.Image.Reference, r.Record.Enclave.Value = hostile, hostile, hostile, hostile
	r.Record.Source.Commit, r.Record.Source.Materials[0].URI = hostile, hostile
	c.Steps = []page.Step{{Name: hostile, Evidence: hostile}, {Name: "x", Err: errors.New(hostile)}}
	c.Run.URL, c.Run.Event, c.Record, c.Configs = hostile, hostile, hostile, []string{hostile}
	plan := release.Plan{Version: hostile, Image: hostile, Commit: hostile, Wallet: hostile, AppAddress: hostile, OrderHash: hostile, Findings: []release.Finding{
		{Name: hostile, State: release.ToMake, Evidence: hostile}, {Name: hostile, Evidence: hostile}}}
	for name, text := range map[string]string{
		"release": page.NewRelease(r, c).Summary(), "plan": page.NewPlan(plan, c).Summary(),
		"failure": page.Failure{Command: hostile, Code: hostile, What: hostile, Remedy: hostile, Evidence: [][2]string{{hostile, hostile}}}.Summary(c),
		"verify":  page.NewVerification(page.Asked{Chain: hostile, Node: hostile, Market: hostile, Config: []string{hostile}}, record.Given(r.Record, hostile), hostile).Summary(c),
	} {
		rest := withoutCode(text)
		for _, evil := range []string{"evil", "PASSED", "@all", "<b>", "\x1b", "https://evil", "::error::"} {
			if strings.Contains(rest, evil) {
				t.Errorf("%s: %q is no code in\n%s", name, evil, rest)
			}
		}
		if strings.Count(rest, "<details>") != strings.Count(rest, "</details>") {
			t.Errorf("%s: details that do not end:\n%s", name, rest)
		}
		for line := range strings.Lines(rest) { // a table has as many cells as its head
			if cells := strings.Count(line, "|"); strings.HasPrefix(line, "|") && cells != 3 && cells != 4 && cells != 5 {
				t.Errorf("%s: a row of %d cells: %s", name, cells, line)
			}
		}
	}
}

// withoutCode takes away what markdown shows as code (CommonMark: a fence ends with as
// many backticks or more on a line of their own, a span with just as many).
func withoutCode(text string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimRight(line, "\n")
		ticks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3 && ticks == trimmed:
			fence = ticks
		case fence != "" && len(ticks) >= len(fence) && ticks == trimmed:
			fence = ""
		case fence == "":
			b.WriteString(withoutSpans(strings.ReplaceAll(line, `\|`, "")))
		}
	}
	return b.String()
}

func withoutSpans(line string) string {
	var b strings.Builder
	for line != "" {
		start := strings.IndexByte(line, '`')
		if start < 0 {
			return b.String() + line
		}
		rest := strings.TrimLeft(line[start:], "`")
		n := len(line) - start - len(rest)
		end := -1
		for at := 0; at < len(rest); {
			next := strings.IndexByte(rest[at:], '`')
			if next < 0 {
				break
			}
			at += next
			run := len(rest[at:]) - len(strings.TrimLeft(rest[at:], "`"))
			if run == n {
				end = at + run
				break
			}
			at += run
		}
		b.WriteString(line[:start])
		if end < 0 {
			b.WriteString(line[start : start+n])
			line = rest
			continue
		}
		line = rest[end:]
	}
	return b.String()
}

// A summary that would be too large for GitHub leaves out parts, whole, and says so.
func TestLargeSummary(t *testing.T) {
	r, c := result(t), context()
	for range 20_000 {
		r.Record.Source.Materials = append(r.Record.Source.Materials, r.Record.Source.Materials[0])
	}
	text := page.NewRelease(r, c).Summary()
	if len(text) >= 1<<20 || !strings.Contains(text, "1 part left out") || strings.Count(text, "<details>") != strings.Count(text, "</details>") {
		t.Errorf("%d bytes, ending with %q", len(text), text[max(0, len(text)-200):])
	}
	c.Steps[0].Evidence = strings.Repeat("ä", 1<<20)
	if text := page.NewRelease(result(t), c).Summary(); len(text) > 8<<10 || !strings.Contains(text, "bytes more") {
		t.Errorf("a long evidence makes a summary of %d bytes", len(text))
	}
}

func TestJUnit(t *testing.T) {
	steps := []page.Step{
		{Name: "build", Took: 2310 * time.Millisecond, Evidence: "sha256:22"},
		{Name: "a<\x1b\"&]]>\n", Took: time.Second, Err: errors.New("bad\n<failure/>\x00 & more")},
		{Name: "measurement", Err: errors.New("no builder"), Open: true},
	}
	document, err := page.JUnit("release", steps)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", string(document))
	var read struct {
		Suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(document, &read); err != nil || read.Suite.Tests != 3 || read.Suite.Failures != 1 || read.Suite.Cases[1].Failure == nil || read.Suite.Cases[1].Name != `a<\x1b"&]]>\n` {
		t.Errorf("%+v, %v", read, err)
	}
}

// A command that a user copies is that command, with any name of a file.
func TestAttackCommandToCopy(t *testing.T) {
	for _, path := range []string{"dist/record.json", "a b", "a; echo evil", "$(echo evil)", "`echo evil`", "it's'", "a|b", "-x\\", "&& echo evil", "*"} {
		c := context()
		c.Configs, c.Record = []string{path}, path
		r := result(t)
		r.Record.App.Chain = "own"
		command := page.NewRelease(r, c).VerifyCommands[0]
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "mrelease() { printf '%s\n' \"$@\"; }; "+command).Output()
		if want := "verify\n--config\n" + path + "\n" + path + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}

func TestCode(t *testing.T) {
	for value, want := range map[string]string{"plain": "`plain`", "a`b": "``a`b``", "a|b": "`a\\|b`", "": "", " ": "`   `", "`": "`` ` ``",
		"a` | evil |\n\n# PASSED <b>\x1b[2J``": "``` a` \\| evil \\|\\n\\n# PASSED <b>\\x1b[2J`` ```"} {
		if got := page.Code(value); got != want {
			t.Errorf("Code(%q): %q, want %q", value, got, want)
		}
	}
}

// An order that its owner presigned is told as one that no market has.
func TestPresigned(t *testing.T) {
	r := result(t)
	r.Record.Order.Signed.Sign = nil
	a := page.NewRelease(r, context())
	const want = "(presigned by the owner, and on no market: who has the record has it)"
	if got := a.Summary(); a.AlreadyPublished || !strings.Contains(got, want) || !strings.Contains(fmt.Sprint(a.Rows()), want) {
		t.Errorf("got %s", got)
	}
}
