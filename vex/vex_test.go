package vex_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/vex"
)

const (
	digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	other  = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func image() vex.Image {
	return vex.Image{Repository: "ghcr.io/acme/hello", Tag: "1.0.0", Digest: digest}
}

// document is a document with some statements.
func document(version int, statements ...string) string {
	return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/hello","author":"Acme","timestamp":"2026-01-31T12:00:00Z","version":%d,"statements":[%s]}`, version, strings.Join(statements, ","))
}

// statement is one about a product.
func statement(name, status, product string) string {
	return fmt.Sprintf(`{"vulnerability":{"name":%q},"products":[%s],%s}`, name, product, status)
}

const (
	fixed    = `"status":"fixed"`
	affected = `"status":"affected","action_statement":"take 1.0.1"`
	ours     = `{"@id":"pkg:oci/hello?repository_url=ghcr.io/acme/hello"}`
)

func TestParse(t *testing.T) {
	d, err := vex.Parse([]byte(document(3,
		statement("CVE-2026-1", `"status":"not_affected","justification":"vulnerable_code_not_present","impact_statement":"it was left out"`, ours),
		statement("CVE-2026-2", affected, ours),
		`{"vulnerability":{"name":"CVE-2026-3","aliases":["GHSA-1"]},"status":"under_investigation"}`,
		statement("CVE-2026-4", fixed, `{"@id":"pkg:oci/world"}`))))
	if err != nil {
		t.Fatal(err)
	}
	if d.ID != "https://example.com/vex/hello" || d.Author != "Acme" || d.Version != 3 || !d.Time.Equal(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", d)
	}
	said := map[string]vex.Status{}
	for _, s := range d.About(image()) {
		said[s.Vulnerability] = s.Status
	}
	if want := (map[string]vex.Status{"CVE-2026-1": vex.NotAffected, "CVE-2026-2": vex.Affected, "CVE-2026-3": vex.UnderInvestigation}); !reflect.DeepEqual(said, want) {
		t.Errorf("got %v, want %v", said, want)
	}
}

// All that is wrong is said at once.
func TestParseSaysAllProblems(t *testing.T) {
	_, err := vex.Parse([]byte(`{"@context":"https://example.com","author":"","timestamp":"yesterday","version":"1","statements":[
		{"vulnerability":{},"status":"not_affected","products":[{}]},
		{"vulnerability":{"name":"CVE-2026-1"},"status":"affected","justification":"because","products":[{"hashes":{"sha-256":"11"}}]},
		{"vulnerability":"CVE-2026-2","status":"unknown"},
		7]}`))
	wrong, ok := errors.AsType[*vex.Error](err)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		`author: want a text`, `@context: want "https://openvex.dev/ns/v0.2.0"`, `@id: is missing`, `timestamp: want a time`, `version: want a whole number from 1, got "1"`,
		`statements[0].vulnerability.name: is missing`, `statements[0]: is not_affected: want a justification or an impact_statement`, `statements[0].products[0]: names nothing`,
		`statements[1]: is affected: want an action_statement`, `statements[1].justification: want one of component_not_present`, `statements[1].justification: belongs to the status not_affected`, `statements[1].products[0].hashes.sha-256: want 64 hex digits`,
		`statements[2].vulnerability: want an object with a name`, `statements[2].status: want one of not_affected, affected, fixed, under_investigation, got "unknown"`, `statements[3]: want an object`,
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(wrong.Problems, "\n"), w) {
			t.Errorf("not told: %s", w)
		}
	}
	if len(wrong.Problems) != len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(wrong.Problems), len(want), strings.Join(wrong.Problems, "\n"))
	}
}

func TestAttackDocument(t *testing.T) {
	right := document(1, statement("CVE-2026-1", fixed, ours))
	for name, text := range map[string]string{
		"nothing":             "",
		"half":                right[:len(right)/2],
		"more":                right + "{}",
		"no object":           "[]",
		"null":                "null",
		"deep":                strings.Repeat("[", 100_000),
		"deep in a document":  strings.Replace(right, `"Acme"`, strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000), 1),
		"large":               strings.Replace(right, "Acme", strings.Repeat("A", bounds.VEX), 1),
		"many values":         strings.Replace(right, `"Acme"`, "["+strings.Repeat("1,", bounds.Values)+"1]", 1),
		"twice":               strings.Replace(right, `"version"`, `"author":"Other","version"`, 1),
		"twice, by an escape": strings.Replace(right, `"version"`, `"auth\u006fr":"Other","version"`, 1),
		"in other letters":    strings.Replace(right, `"status"`, `"Status":"affected","status"`, 1),
		"in a long s":         strings.Replace(right, `"status"`, `"ſtatus":"affected","status"`, 1),
		"no UTF-8":            strings.Replace(right, "Acme", "Acm\xff", 1),
		"no statements":       document(1),
		"version 0":           document(0, statement("CVE-2026-1", fixed, ours)),
		"version 1.5":         strings.Replace(right, `"version":1`, `"version":1.5`, 1),
		"a huge version":      strings.Replace(right, `"version":1`, `"version":`+strings.Repeat("9", 400), 1),
		"no IRI":              strings.Replace(right, "https://example.com/vex/hello", "hello", 1),
		"a number as a name":  strings.Replace(right, `"CVE-2026-1"`, "1", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vex.Parse([]byte(text))
			if wrong, ok := errors.AsType[*vex.Error](err); !ok || len(wrong.Error()) > 4000 {
				t.Errorf("got %.1000v", err)
			}
		})
	}
	many := make([]string, 1000)
	_, err := vex.Parse([]byte(document(1, strings.Split(strings.Join(many, "7,")+"7", ",")...)))
	if wrong, ok := errors.AsType[*vex.Error](err); !ok || len(wrong.Problems) != 21 || wrong.Problems[20] != "has 980 problems more" {
		t.Errorf("got %v", err)
	}
	for _, context := range []string{"https://openvex.dev/ns", "https://openvex.dev/ns/v9.0.0"} {
		_, err := vex.Parse([]byte(strings.Replace(right, vex.Context, context, 1)))
		if unknown, ok := errors.AsType[*vex.UnknownError](err); !ok || unknown.Context != context {
			t.Errorf("%s: %v", context, err)
		}
	}
}

func TestAbout(t *testing.T) {
	unbuilt := vex.Image{Repository: "ghcr.io/acme/hello"}
	for product, want := range map[string][2]bool{ // of the image, and before it is built
		ours:                                     {true, true},
		`{"@id":"pkg:oci/hello"}`:                {true, true},
		`{"@id":"pkg:oci/hello?tag=1.0.0"}`:      {true, true},
		`{"@id":"pkg:oci/hello?tag=2.0.0"}`:      {false, true},
		`{"@id":"pkg:oci/hello@` + digest + `"}`: {true, true},
		`{"@id":"pkg:oci/hello@` + strings.Replace(digest, ":", "%3A", 1) + `?repository_url=ghcr.io/acme"}`: {true, true},
		`{"@id":"pkg:oci/hello@` + other + `"}`:                                                       {false, true},
		`{"@id":"pkg:oci/hello?repository_url=ghcr.io/other/hello"}`:                                  {false, false},
		`{"@id":"pkg:oci/world"}`:                                                                     {false, false},
		`{"@id":"pkg:deb/debian/hello@1.0.0"}`:                                                        {false, false},
		`{"@id":"ghcr.io/acme/hello"}`:                                                                {true, true},
		`{"@id":"ghcr.io/acme/hello:1.0.0"}`:                                                          {true, true},
		`{"@id":"ghcr.io/acme/hello:2.0.0@` + digest + `"}`:                                           {true, true},
		`{"@id":"ghcr.io/acme/hello@` + other + `"}`:                                                  {false, true},
		`{"@id":"hello"}`:                                                                             {false, false},
		`{"@id":"https://example.com/hello"}`:                                                         {false, false},
		`{"@id":"https://example.com/hello","identifiers":{"purl":"pkg:oci/hello"}}`:                  {true, true},
		`{"@id":"pkg:oci/hello","identifiers":{"purl":"pkg:oci/hello@` + other + `"}}`:                {false, true},
		`{"hashes":{"sha-256":"` + strings.TrimPrefix(digest, "sha256:") + `"}}`:                      {true, true},
		`{"@id":"pkg:oci/hello","hashes":{"sha-256":"` + strings.TrimPrefix(other, "sha256:") + `"}}`: {false, true},
		`{"@id":"pkg:oci/world"},` + ours:                                                             {true, true},
		`{"@id":"pkg:oci/world","subcomponents":[{"@id":"pkg:oci/hello"}]}`:                           {false, false},
	} {
		d, err := vex.Parse([]byte(document(1, statement("CVE-2026-1", fixed, product))))
		if err != nil {
			t.Fatalf("%s: %v", product, err)
		}
		if got := [2]bool{len(d.About(image())) == 1, len(d.About(unbuilt)) == 1}; got != want {
			t.Errorf("%s: %v, want %v", product, got, want)
		}
	}
	hub := vex.Image{Repository: "index.docker.io/acme/hello"}
	if got, want := hub.PURL(), "pkg:oci/hello?repository_url=docker.io/acme/hello"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d, err := vex.Parse([]byte(document(1, statement("CVE-2026-1", fixed, `{"@id":"`+hub.PURL()+`"}`))))
	if err != nil || len(d.About(hub)) != 1 {
		t.Errorf("%v, %v", d, err)
	}
}

// The highest version of an @id counts, and none where two say different things.
func TestCurrent(t *testing.T) {
	parse := func(text string) vex.Document {
		d, err := vex.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	one, two := parse(document(1, statement("CVE-2026-1", fixed, ours))), parse(document(2, statement("CVE-2026-1", affected, ours)))
	later := parse(strings.NewReplacer("vex/hello", "vex/other", "2026-01-31", "2026-02-01").Replace(document(1, statement("CVE-2026-1", fixed, ours))))
	current, err := vex.Current([]vex.Document{two, one, later, one})
	if err != nil || len(current) != 2 || !current[0].Equal(later) || !current[1].Equal(two) {
		t.Errorf("%v, %v", current, err)
	}
	same := parse(strings.ReplaceAll(document(2, statement("CVE-2026-1", affected, ours)), ",", ", \n"))
	if current, err := vex.Current([]vex.Document{same, two}); err != nil || len(current) != 1 {
		t.Errorf("%v, %v", current, err)
	}
	twice := parse(document(2, statement("CVE-2026-1", fixed, ours)))
	for _, all := range [][]vex.Document{{two, twice}, {twice, one, two}} {
		if current, err := vex.Current(all); err == nil {
			t.Errorf("got %v", current)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document(1, statement("CVE-2026-1", fixed, ours), statement("CVE-2026-2", affected, `{"@id":"pkg:oci/hello@`+digest+`"}`)))
	f.Add(document(2, `{"vulnerability":{"name":"CVE-2026-3"},"status":"under_investigation"}`))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := vex.Parse([]byte(text))
		if err != nil {
			return
		}
		again, err := vex.Parse(d.Raw)
		if err != nil || !again.Equal(d) || d.ID == "" || d.Author == "" || d.Version == 0 || d.Time.IsZero() && !strings.Contains(text, "0001-01-01T") || len(d.Statements) == 0 {
			t.Errorf("%+v, %v", d, err)
		}
		for _, s := range d.About(vex.Image{Repository: "ghcr.io/acme/hello"}) {
			if s.Vulnerability == "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
