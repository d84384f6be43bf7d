package publishtest

import (
	"encoding/json"
	"fmt"
	"testing"

	theirs "github.com/openvex/go-vex/pkg/vex"

	"github.com/mrelease/mrelease/vex"
)

// OpenVEX's own library takes what is attested, and finds the same in it.
func TestOpenVEX(t *testing.T) {
	const product = `"products":[{"@id":"pkg:oci/hello?repository_url=ghcr.io/acme/hello","identifiers":{"purl":"pkg:oci/hello"},"hashes":{"sha-256":"1111111111111111111111111111111111111111111111111111111111111111"},"supplier":"Acme","subcomponents":[{"@id":"pkg:deb/debian/libc6@2.41"}]}]`
	for _, statement := range []string{
		`"status":"not_affected","justification":"component_not_present"`,
		`"status":"not_affected","justification":"inline_mitigations_already_exist","impact_statement":"it is left out"`,
		`"status":"not_affected","impact_statement":"it is left out"`,
		`"status":"not_affected"`,
		`"status":"not_affected","justification":"because"`,
		`"status":"not_affected","justification":"component_not_present","action_statement":"nothing"`,
		`"status":"affected","action_statement":"take 1.0.1","action_statement_timestamp":"2026-01-31T12:00:00.5+01:00"`,
		`"status":"affected"`,
		`"status":"affected","action_statement":"take 1.0.1","justification":"component_not_present"`,
		`"status":"fixed","status_notes":"since 1.0.0","timestamp":"2026-01-30T00:00:00Z"`,
		`"status":"fixed","impact_statement":"none"`,
		`"status":"under_investigation"`,
		`"status":"under_investigation","action_statement":"wait"`,
		`"status":"unknown"`,
		`"status":"Fixed"`,
	} {
		text := fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/hello","author":"Acme","role":"author","timestamp":"2026-01-31T12:00:00Z","version":7,"statements":[{"vulnerability":{"name":"CVE-2026-1","aliases":["GHSA-1"]},%s,%s}]}`, product, statement)
		ours, err := vex.Parse([]byte(text))
		var d theirs.VEX
		if err := json.Unmarshal([]byte(text), &d); err != nil || len(d.Statements) != 1 {
			t.Fatal(err)
		}
		judged := d.Statements[0].Validate()
		if (err == nil) != (judged == nil) {
			t.Errorf("%s: %v, and go-vex: %v", statement, err, judged)
		}
		if err != nil {
			continue
		}
		if d.ID != ours.ID || d.Author != ours.Author || !d.Timestamp.Equal(ours.Time) || uint64(d.Version) != ours.Version || string(d.Statements[0].Status) != string(ours.Statements[0].Status) || string(d.Statements[0].Vulnerability.Name) != ours.Statements[0].Vulnerability {
			t.Errorf("%s: go-vex reads %+v, and here it is %+v", statement, d, ours)
		}
	}
}

// It takes a product for an image's where it is here, as the image is named by its purl.
func TestOpenVEXProducts(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	image := vex.Image{Repository: "ghcr.io/acme/hello", Digest: digest}
	purl := "pkg:oci/hello@" + digest + "?repository_url=ghcr.io/acme/hello"
	for product, want := range map[string]bool{
		image.PURL(): true, purl: true, "pkg:oci/hello": true, "pkg:oci/hello@" + digest: true,
		"pkg:oci/world": false, "pkg:oci/hello?repository_url=ghcr.io/other/hello": false, "pkg:oci/hello@sha256:22": false,
	} {
		text := fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/hello","author":"Acme","timestamp":"2026-01-31T12:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":%q}],"status":"fixed"}]}`, product)
		ours, err := vex.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var d theirs.VEX
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		here, there := len(ours.About(image)) == 1, d.Statements[0].Products[0].Matches(purl, "")
		if here != want || there != want {
			t.Errorf("%s: %t, and go-vex: %t", product, here, there)
		}
	}
}
