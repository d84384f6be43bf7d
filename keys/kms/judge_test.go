//go:build interop

package kms

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/ethereum/go-ethereum/common"
)

// startLocalKMS runs bin/local-kms, somebody else's stand-in for AWS KMS, and returns its
// host and port.
func startLocalKMS(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../../bin/local-kms")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := free.Addr().String()
	dir := t.TempDir()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program)
	_, port, _ := strings.Cut(host, ":")
	c.Env = []string{"PORT=" + port, "KMS_REGION=eu-west-3", "KMS_DATA_PATH=" + dir}
	c.Stderr = t.Output()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", host); err == nil {
			conn.Close()
			return host
		}
		if time.Now().After(deadline) {
			t.Fatal("local-kms does not listen")
		}
	}
}

// Somebody else's AWS KMS is the judge: keys that it made are found by all of their names,
// what it signs is the wallet's, and it refuses in words that are understood.
func TestLocalKMSItself(t *testing.T) {
	host := startLocalKMS(t)
	for name, value := range map[string]string{"AWS_REGION": "eu-west-3", "AWS_ACCESS_KEY_ID": "AKIALOCAL00000000000", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin := kms.NewFromConfig(cfg, func(o *kms.Options) { o.BaseEndpoint = aws.String("http://" + host) })
	create := func(spec types.KeySpec) types.KeyMetadata {
		made, err := admin.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(err)
		}
		return *made.KeyMetadata
	}
	made, other := create(types.KeySpecEccSecgP256k1), create(types.KeySpecEccNistP256)
	if _, err := admin.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/release"), TargetKeyId: made.KeyId}); err != nil {
		t.Fatal(err)
	}
	var address common.Address
	for _, key := range []string{"alias/release", *made.KeyId, *made.Arn} {
		w, err := AWS(host, key).Open(t.Context(), address) // that of the first
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		address = w.Address
		seen := map[string]bool{}
		for i := range 8 {
			s, err := w.SignText(t.Context(), fmt.Append(nil, "text ", i)) // which recovers the key
			if err != nil {
				t.Error(err)
			}
			seen[string(s)] = true
		}
		if len(seen) != 8 {
			t.Errorf("%s: %d signatures of 8 texts", key, len(seen))
		}
	}
	w, err := AWS(host, *made.Arn).Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: made.KeyId}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignText(t.Context(), []byte("another text")); err == nil || !strings.Contains(err.Error(), "DisabledException") {
		t.Errorf("disabled: %v", err)
	}
	for key, want := range map[string]string{
		*other.KeyId:                           `a key of spec "ECC_NIST_P256"`,
		"a00d5768-3fd7-4edd-a4b8-4c81c3e4c147": "NotFoundException",
		"alias/none":                           "NotFoundException",
	} {
		if _, err := AWS(host, key).Open(t.Context(), common.Address{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
	signsImages(t, host, *other.Arn, *made.KeyId, create(types.KeySpecRsa2048))
}

// signsImages has a key on P-256 sign, and the others refused as what they are.
func signsImages(t *testing.T, host, key, wallets string, rsa types.KeyMetadata) {
	opened, err := AWS(host, key).OpenImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 4 {
		digest := sha256.Sum256([]byte("text"))
		s, err := opened.Sign(t.Context(), digest[:]) // which checks it
		if err != nil {
			t.Error(err)
		}
		seen[string(s)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d signatures of 4", len(seen))
	}
	for key, want := range map[string]string{wallets: "", *rsa.KeyId: `a key of spec "RSA_2048"`} {
		var refused *Error
		if _, err := AWS(host, key).OpenImage(t.Context()); !errors.As(err, &refused) || !strings.Contains(refused.Problem, want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
}
