package keyless

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekor "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mrelease/mrelease/bounds"
)

// newLog returns a log that is spoken to with a client, in either version: those of the
// library have clients of their own, which give up early or late and read anything.
func newLog(l root.Service, client *http.Client) (sign.Transparency, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, &ConfigError{fmt.Sprintf("names a log %q: %v", l.URL, err)}
	}
	o := &sign.RekorOptions{BaseURL: l.URL, Version: l.MajorAPIVersion, Timeout: -1}
	if l.MajorAPIVersion == 1 {
		o.Client = entries.New(httptransport.NewWithClient(u.Host, u.Path, []string{u.Scheme}, client), strfmt.Default)
	} else {
		o.ClientV2 = writer{client, strings.TrimSuffix(l.URL, "/") + "/api/v2/log/entries"}
	}
	return sign.NewRekor(o), nil
}

// writer adds entries to a log of Rekor 2.
type writer struct {
	client *http.Client
	url    string
}

// Add implements sigstore-go's sign.RekorV2Client.
func (w writer) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	hashed, ok := entry.(*rekor.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("adding an entry of type %T: the log takes hashes only", entry)
	}
	body, err := protojson.Marshal(&rekor.CreateEntryRequest{Spec: &rekor.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed}})
	if err != nil {
		return nil, fmt.Errorf("encoding entry: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body) // the transport bounds it
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("the log answers %s: %s", resp.Status, text)
	}
	if err := bounds.CheckJSON(text); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	var added protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(text, &added); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return &added, nil
}
