package keyless

import (
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/mrelease/mrelease/bounds"
)

// PublicServices is the signing configuration of Sigstore's public instance. What is
// signed with it is published: the certificate names repository, workflow and commit.
func PublicServices() []byte {
	const start = `"validFor":{"start":"2022-01-01T00:00:00Z"}`
	return []byte(`{"mediaType":"` + root.SigningConfigMediaType02 + `",` +
		`"caUrls":[{"url":"https://fulcio.sigstore.dev","majorApiVersion":1,` + start + `,"operator":"sigstore.dev"}],` +
		`"rekorTlogUrls":[{"url":"https://rekor.sigstore.dev","majorApiVersion":1,` + start + `,"operator":"sigstore.dev"}],` +
		`"tsaUrls":[{"url":"https://timestamp.sigstore.dev/api/v1/timestamp","majorApiVersion":1,` + start + `,"operator":"sigstore.dev"}],` +
		`"rekorTlogConfig":{"selector":"ANY"},"tsaConfig":{"selector":"ANY"}}`)
}

// ConfigError says that a signing configuration cannot be used.
type ConfigError struct{ Problem string }

func (e *ConfigError) Error() string { return "the signing configuration " + e.Problem }

// Evidence returns what is wrong.
func (e *ConfigError) Evidence() [][2]string {
	return [][2]string{{"expected", "a signing configuration of Sigstore (version 0.2), in JSON"}, {"actual", e.Problem}}
}

// services are those to sign with now.
type services struct {
	authority  string         // URL
	timestamps []string       // URLs
	logs       []root.Service // may be none
}

// String is where they are.
func (s services) String() string {
	all := append([]string{s.authority}, s.timestamps...)
	for _, l := range s.logs {
		all = append(all, l.URL)
	}
	return strings.Join(all, ", ")
}

// CheckServices says what is wrong with a signing configuration. Its error is a
// [*ConfigError].
func CheckServices(text []byte) error {
	_, err := readServices(text, time.Now())
	return err
}

// readServices chooses of a signing configuration what is valid at a time. Its error is a
// [*ConfigError]: there must be somebody who says when a signature was made, or nobody
// could verify it when its certificate is over.
func readServices(text []byte, now time.Time) (s services, err error) {
	if err := bounds.CheckJSON(text); err != nil {
		return s, &ConfigError{"cannot be read: " + err.Error()}
	}
	config, err := root.NewSigningConfigFromJSON(text)
	if err != nil {
		return s, &ConfigError{"cannot be read: " + err.Error()}
	}
	authority, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return s, &ConfigError{fmt.Sprintf("names no certificate authority: %v", err)}
	}
	s.authority = authority.URL
	timely := false
	if all := config.TimestampAuthorityURLs(); len(all) > 0 {
		chosen, err := root.SelectServices(all, config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return s, &ConfigError{fmt.Sprintf("names no timestamp authority: %v", err)}
		}
		for _, c := range chosen {
			s.timestamps, timely = append(s.timestamps, c.URL), true
		}
	}
	if all := config.RekorLogURLs(); len(all) > 0 {
		if s.logs, err = root.SelectServices(all, config.RekorLogURLsConfig(), sign.RekorAPIVersions, now); err != nil {
			return s, &ConfigError{fmt.Sprintf("names no log: %v", err)}
		}
	}
	for _, l := range s.logs {
		timely = timely || l.MajorAPIVersion == 1 // which states the time of an entry
	}
	if !timely {
		return s, &ConfigError{"names nobody who says when a signature was made: no timestamp authority, and no log of Rekor 1"}
	}
	return s, nil
}
