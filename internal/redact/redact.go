// Package redact takes secrets out of what is shown of network access.
package redact

import (
	"errors"
	"fmt"
	"net/url"
)

// URL keeps the scheme and host of a URL: user info, path and query of an
// endpoint are where providers put API keys.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "(malformed URL)"
	}
	return u.Scheme + "://" + u.Host
}

// Address keeps the path too, for who must tell one service from another at its host.
func Address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "(malformed URL)"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// Error replaces the URL in an error of the HTTP client, which quotes it whole.
func Error(err error) error {
	var network *url.Error
	if errors.As(err, &network) {
		return fmt.Errorf("%s %s: %w", network.Op, URL(network.URL), network.Err)
	}
	return err
}
