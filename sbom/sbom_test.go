package sbom_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/sbom"
)

const (
	tool   = "docker-image://example.com/scanner@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	first  = "0f3a1b2c-1111-4222-8333-444455556666"
	second = "99999999-aaaa-4bbb-8ccc-dddddddddddd"
)

func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

// written is what a scanner writes in one scan: its random UUID, its time, and packages in
// the order that its map gave.
func written(id, at string, packages ...string) string {
	var listed []string
	for _, p := range packages {
		listed = append(listed, fmt.Sprintf(`{"name":%q,"SPDXID":"SPDXRef-Package-%s","downloadLocation":"NOASSERTION","releaseDate":"2020-01-02T03:04:05Z","checksums":[{"algorithm":"SHA256","checksumValue":"ab"},{"algorithm":"SHA1","checksumValue":"cd"}],"comment":"<&> in %s"}`, p, p, id))
	}
	return fmt.Sprintf(`{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"sbom",
		"documentNamespace":"https://example.com/scans/sbom-%s","creationInfo":{"created":%q,"creators":["Tool: scanner-1.2","Organization: Example"]},
		"annotations":[{"annotationDate":%q,"annotationType":"OTHER","annotator":"Tool: scanner-1.2","comment":"x"}],"packages":[%s]}`, id, at, at, strings.Join(listed, ","))
}

func wrapped(document string) string {
	return `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":null,"predicate":` + document + `}`
}

func normal(t *testing.T, text string) sbom.Document {
	t.Helper()
	d, err := sbom.Normalise([]byte(text), epoch(), tool)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Two scans of one image are one document, whatever is random in them.
func TestTwoScansAreEqual(t *testing.T) {
	a := normal(t, written(first, "2026-01-01T00:00:00Z", "bash", "libc6", "zlib"))
	for name, text := range map[string]string{
		"another scan":   written(second, "2026-02-02T10:20:30Z", "zlib", "bash", "libc6"),
		"in a statement": wrapped(written(second, "2026-02-02T10:20:30Z", "libc6", "zlib", "bash")),
		"upper case":     written(strings.ToUpper(second), "2026-02-02T10:20:30Z", "libc6", "zlib", "bash"),
		"itself":         string(a.Raw),
	} {
		if b := normal(t, text); !bytes.Equal(a.Raw, b.Raw) || a.Digest() != b.Digest() {
			t.Errorf("%s:\n%s\n%s", name, a.Raw, b.Raw)
		}
	}
	text := string(a.Raw)
	for _, absent := range []string{first, second, "2026-"} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is left in %s", absent, text)
		}
	}
	for _, kept := range []string{`"created":"2023-11-14T22:13:20Z"`, `"annotationDate":"2023-11-14T22:13:20Z"`, `"releaseDate":"2020-01-02T03:04:05Z"`, "Organization: Example", "Tool: " + tool, "<&> in"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s is not in %s", kept, text)
		}
	}
	if a.Packages != 3 || !a.IsBy(tool) || a.IsBy("docker-image://example.com/other@sha256:11") {
		t.Errorf("%d packages by %q", a.Packages, a.Creators)
	}
}

// Whatever is listed differently is another document, with another UUID.
func TestOtherContentIsAnotherDocument(t *testing.T) {
	seen := map[string]string{}
	for name, text := range map[string]string{
		"three":           written(first, "2026-01-01T00:00:00Z", "bash", "libc6", "zlib"),
		"two":             written(first, "2026-01-01T00:00:00Z", "bash", "libc6"),
		"another version": strings.ReplaceAll(written(first, "2026-01-01T00:00:00Z", "bash", "libc6", "zlib"), "scanner-1.2", "scanner-1.3"),
		"another host":    strings.ReplaceAll(written(first, "2026-01-01T00:00:00Z", "bash", "libc6", "zlib"), "/scans/", "/scan/"),
	} {
		d := normal(t, text)
		_, id, _ := strings.Cut(string(d.Raw), "sbom-")
		if other := seen[id[:36]]; other != "" {
			t.Errorf("%s has the UUID of %s", name, other)
		}
		seen[id[:36]] = name
	}
}

// What was attested is read as it is: Parse changes its form and no value of it.
func TestParse(t *testing.T) {
	a := normal(t, written(first, "2026-01-01T00:00:00Z", "bash", "libc6"))
	b, err := sbom.Parse(bytes.ReplaceAll(a.Raw, []byte(`,"`), []byte(", \n\"")))
	if err != nil || a.Digest() != b.Digest() {
		t.Errorf("%v %s", err, b.Raw)
	}
	b, err = sbom.Parse(bytes.Replace(a.Raw, []byte("bash"), []byte("mash"), 1))
	if err != nil || a.Digest() == b.Digest() {
		t.Errorf("%v %s", err, b.Raw)
	}
}

func TestAttackDocument(t *testing.T) {
	right := written(first, "2026-01-01T00:00:00Z", "bash")
	many := make([]string, bounds.SBOMMembers+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	for name, text := range map[string]string{
		"nothing":              "",
		"half":                 right[:len(right)/2],
		"more":                 right + "{}",
		"no object":            "[]",
		"null":                 "null",
		"text":                 `"x"`,
		"another predicate":    strings.Replace(wrapped(right), "https://spdx.dev/Document", "https://cyclonedx.org/bom", 1),
		"an empty statement":   `{"predicateType":"https://spdx.dev/Document"}`,
		"no version":           strings.Replace(right, "spdxVersion", "version", 1),
		"another version":      strings.Replace(right, "SPDX-2.3", "SPDX-3.0", 1),
		"no namespace":         strings.Replace(right, "documentNamespace", "namespace", 1),
		"no creation":          strings.Replace(right, "creationInfo", "info", 1),
		"creators of a kind":   strings.Replace(right, `["Tool: scanner-1.2","Organization: Example"]`, `"me"`, 1),
		"a creator that is no": strings.Replace(right, `"Organization: Example"`, `17`, 1),
		"no document":          strings.Replace(right, "SPDXRef-DOCUMENT", "SPDXRef-File", 1),
		"packages of a kind":   strings.Replace(right, `"packages":[`, `"packages":7,"x":[`, 1),
		"large":                strings.Replace(right, "sbom", strings.Repeat("x", bounds.SBOM), 1),
		"deep":                 strings.Replace(right, `"sbom"`, strings.Repeat("[", 100)+strings.Repeat("]", 100), 1),
		"many members":         strings.Replace(right, `"name":"sbom"`, `"more":{`+strings.Join(many, ",")+`}`, 1),
	} {
		var wrong *sbom.Error
		if _, err := sbom.Normalise([]byte(text), epoch(), tool); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add(written(first, "2026-01-01T00:00:00Z", "bash", "libc6"))
	f.Add(wrapped(written(second, "x")))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := sbom.Normalise([]byte(text), epoch(), tool)
		if err != nil {
			return
		}
		b, err := sbom.Normalise(a.Raw, epoch(), tool)
		if err != nil || !bytes.Equal(a.Raw, b.Raw) {
			t.Errorf("%v\n%s\n%s", err, a.Raw, b.Raw)
		}
		if c, err := sbom.Parse(a.Raw); err != nil || c.Digest() != a.Digest() {
			t.Errorf("%v\n%s\n%s", err, a.Raw, c.Raw)
		}
	})
}
