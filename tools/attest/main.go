// Command attest signs what dist made, with a key of cosign's: the checksums as a file,
// and the statement of what was made from what as an attestation. Both become bundles,
// which cosign checks:
//
//	cosign verify-blob --key cosign.pub --insecure-ignore-tlog --new-bundle-format --trusted-root no-root.json --bundle SHA256SUMS.sigstore.json SHA256SUMS
//	cosign verify-blob-attestation --key cosign.pub --insecure-ignore-tlog --new-bundle-format --trusted-root no-root.json --type slsaprovenance1 --bundle mrelease_VERSION.intoto.sigstore.json FILE
//
// usage: attest KEY DIR; COSIGN_PASSWORD has the key's password
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: attest KEY DIR")
		os.Exit(2)
	}
	if err := attest(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "attest:", err)
		os.Exit(1)
	}
}

const (
	sums     = "SHA256SUMS"
	unsigned = ".unsigned.intoto.json"
	signed   = ".sigstore.json"
)

func attest(ctx context.Context, keyFile, dir string) error {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("reading key: %w", err)
	}
	key, err := signing.LoadKey(text, []byte(os.Getenv("COSIGN_PASSWORD")))
	if err != nil {
		return err
	}
	statements, err := filepath.Glob(filepath.Join(dir, "*"+unsigned))
	if err != nil || len(statements) != 1 {
		return errors.Join(err, fmt.Errorf("looking for the statement in %s: %d files, not one", dir, len(statements)))
	}
	list := filepath.Join(dir, sums)
	if err := write(ctx, key, list, list+signed, func(data []byte) sign.Content { return &sign.PlainData{Data: data} }); err != nil {
		return err
	}
	to := strings.TrimSuffix(statements[0], unsigned) + ".intoto" + signed
	if err := write(ctx, key, statements[0], to, func(data []byte) sign.Content {
		return &sign.DSSEData{Data: data, PayloadType: "application/vnd.in-toto+json"}
	}); err != nil {
		return err
	}
	return os.Remove(statements[0])
}

// write signs a file.
func write(ctx context.Context, key *signing.Key, from, to string, content func([]byte) sign.Content) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	bundle, err := sign.Bundle(content(data), key, sign.BundleOptions{Context: ctx})
	if err != nil {
		return fmt.Errorf("signing %s: %w", from, err)
	}
	text, err := protojson.Marshal(bundle)
	if err != nil {
		return fmt.Errorf("encoding bundle: %w", err)
	}
	var compact bytes.Buffer // protojson puts spaces in at random
	if err := json.Compact(&compact, text); err != nil {
		return fmt.Errorf("encoding bundle: %w", err)
	}
	return os.WriteFile(to, append(compact.Bytes(), '\n'), 0o644)
}
