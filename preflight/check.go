package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Inspection is all that can be seen of what was written, on this machine alone.
type Inspection struct {
	Passed   []Part
	Findings []Finding
	Problems []settings.Problem
}

// Part is a part of a configuration in which nothing is wrong.
type Part struct {
	Name     string `json:"name"`
	Evidence string `json:"evidence"`
}

// inspection looks at the parts of a configuration, one after the other, and
// keeps the problems of all.
type inspection struct {
	*settings.Checker
	source   source.Options
	ring     keys.Ring
	passed   []Part
	findings []Finding
	wanted   func(part string) bool
}

// Check looks at the configuration and the files that it names. Keys are decrypted
// when their passwords are set. It uses no network and needs no builder. What it
// found counts for nothing when the context ended.
func Check(ctx context.Context, c *settings.Checker, src source.Options, ring keys.Ring) Inspection {
	return check(ctx, c, src, ring, func(string) bool { return true })
}

// CheckOwn is Check of what is an app's own: where there are several, they have one wallet
// and one signing key, and passwords are slow to check.
func CheckOwn(ctx context.Context, c *settings.Checker, src source.Options, ring keys.Ring) Inspection {
	return check(ctx, c, src, ring, func(part string) bool { return !IsCommon(part) })
}

// IsCommon reports whether a part is what all apps of a configuration have in common.
func IsCommon(part string) bool {
	return slices.Contains([]string{"configuration", "signing key", "wallet"}, part)
}

func check(ctx context.Context, c *settings.Checker, src source.Options, ring keys.Ring, wanted func(part string) bool) Inspection {
	i := &inspection{Checker: c, source: src, ring: ring, passed: []Part{}, wanted: wanted}
	c.Check(settings.Purpose{Build: true, Publish: true})
	if c.Unread() { // nothing is known of what it should say
		return Inspection{Passed: []Part{}, Problems: c.Problems}
	}
	i.part("source", func() string { return i.look(ctx) })
	i.part("git", func() string { return i.git(ctx) })
	i.part("secrets", i.secrets)
	i.part("signing key", func() string { return i.signingKey(ctx) })
	i.part("enclave key", i.enclaveKey)
	i.part("app secret", i.appSecret)
	i.part("wallet", func() string { return i.wallet(ctx) })
	if len(c.Problems) == 0 && wanted("configuration") { // each of which is told as one of the configuration
		i.passed = slices.Insert(i.passed, 0, Part{"configuration", files(c)})
	}
	return Inspection{i.passed, i.findings, c.Problems}
}

// part looks at one part. It passes when there is evidence and no new problem.
func (i *inspection) part(name string, look func() (evidence string)) {
	if !i.wanted(name) {
		return
	}
	before := len(i.Problems)
	if evidence := look(); evidence != "" && len(i.Problems) == before {
		i.passed = append(i.passed, Part{name, evidence})
	}
}

func (i *inspection) secrets() string {
	_, err := i.source.ReadSecrets()
	var c *settings.Error
	if errors.As(err, &c) {
		i.Problems = append(i.Problems, c.Problems...)
	}
	if len(i.Settings.Build.Secrets) == 0 {
		return ""
	}
	return fmt.Sprintf("%d, each is there", len(i.Settings.Build.Secrets))
}

func (i *inspection) signingKey(ctx context.Context) string {
	if i.Settings.Sign.IsKeyless() {
		return i.identity(ctx)
	}
	where := string(i.Settings.Sign.Key)
	if where == "" || i.Refused("sign.key") {
		return ""
	}
	if who := i.ring.ImageService(); who != "" {
		return i.keyInService(who)
	}
	_, err := i.ring.ReadSigningKey()
	var key *signing.Key
	if err == nil {
		if err := i.ring.CheckPublicKey(); err != nil {
			i.Complain(i.publicKey(), "%s", named(where, err))
			return ""
		}
		if i.ring.Getenv(keys.CosignPassword) == "" {
			return fmt.Sprintf("%s, not decrypted: %s is not set, or empty", where, keys.CosignPassword)
		}
		key, err = i.ring.OpenSigningKey(ctx)
	}
	if err != nil {
		i.Complain("sign.key", "%s", named(where, err))
		return ""
	}
	return fmt.Sprintf("%s, decrypted, %s", where, key.GetKeyAlgorithm())
}

// keyInService looks at the file of the public half, where there is one.
func (i *inspection) keyInService(who string) string {
	if i.Refused("sign.public-key") {
		return ""
	}
	if err := i.ring.CheckPublicKey(); err != nil {
		i.Complain(i.publicKey(), "%s", named(string(i.Settings.Sign.PublicKey), err))
		return ""
	}
	if file := i.Settings.Sign.PublicKey; file != "" {
		return fmt.Sprintf("%s, whose public half is %s, not asked", who, file)
	}
	return who + ", not asked"
}

// publicKey is the key of the settings below which a public half is wrong.
func (i *inspection) publicKey() string {
	if i.Settings.Sign.PublicKey != "" {
		return "sign.public-key"
	}
	return "sign.key"
}

// identity looks at the trusted root. A token is not asked for: jobs have one only.
func (i *inspection) identity(ctx context.Context) string {
	if i.Refused("sign.trusted-root") {
		return ""
	}
	who, err := i.ring.Checker(ctx)
	if err != nil {
		i.Complain("sign.trusted-root", "%s", named(string(i.Settings.Sign.TrustedRoot), err))
		return ""
	}
	return fmt.Sprintf("%s, token from %s", who, i.Settings.Sign.Keyless.Token)
}

// enclaveKey looks at the key that signs the enclave, where mrelease does that.
func (i *inspection) enclaveKey() string {
	where := string(i.Settings.Enclave.Key)
	if where == "" || i.Refused("enclave.key") {
		return ""
	}
	if _, err := i.ring.EnclaveKey(); err != nil {
		i.Complain("enclave.key", "%s", named(where, err))
	}
	return where
}

// appSecret looks at the app's secret, where there is one.
func (i *inspection) appSecret() string {
	if i.Settings.Secret == (settings.Secret{}) || i.Refused("app-secret") {
		return ""
	}
	value, err := i.ring.AppSecret()
	var problem *settings.Error
	var refused *request.SecretError
	switch {
	case errors.As(err, &problem) && len(problem.Unset()) > 0: // as passwords may be
		return "not looked at: " + problem.Problems[0].Text
	case errors.As(err, &problem):
		i.Problems = append(i.Problems, problem.Problems...)
	case errors.As(request.CheckSecretValue("", value), &refused):
		i.Complain("app-secret", "%s", refused.Problem)
	}
	return request.SecretSize(value)
}

// named says what is wrong with a key, and which it is.
func named(where string, err error) string {
	var k *keys.Error
	if errors.As(err, &k) {
		return k.Error()
	}
	return fmt.Sprintf("%s: %v", where, err)
}

// wallet looks at the owner's wallet, and at the one that pays where that is another.
func (i *inspection) wallet(ctx context.Context) string {
	owner := ""
	if safe := i.ring.Wallet; safe.IsSafe() {
		owner = safe.Safe.Hex() + ", a contract, which signs nothing"
	} else {
		owner = i.account(ctx, i.ring)
	}
	payer, is := i.ring.Payer()
	if !is {
		return owner
	}
	by := i.account(ctx, payer)
	if owner == "" || by == "" {
		return "" // the one that was refused is no wallet
	}
	return owner + "; payer " + by
}

func (i *inspection) account(ctx context.Context, ring keys.Ring) string {
	at := ring.At()
	if slices.ContainsFunc([]string{"keystore", "clef", "kms", "address"}, func(form string) bool { return i.Refused(at + "." + form) }) {
		return ""
	}
	evidence, err := i.openWallet(ctx, ring)
	var w *node.WalletError
	if errors.As(err, &w) {
		i.Complain(at+".keystore", "%s: %s", w.Where, w.Problem)
	} else if err != nil {
		i.Complain(at+".keystore", "%v", err)
	}
	return evidence
}

func (i *inspection) openWallet(ctx context.Context, ring keys.Ring) (evidence string, err error) {
	if who := ring.External(); who != "" {
		if ring.Wallet.Address == (common.Address{}) { // and Clef's must be named
			return "that of " + who + ", not asked for its address", nil
		}
		owner, _, err := ring.Owner(ctx)
		return fmt.Sprintf("%s, for which %s signs, not asked", owner, who), err
	}
	path, err := ring.Keystore()
	if err != nil {
		return "", err
	}
	if path != "" && ring.Getenv(ring.PasswordVariable()) == "" {
		stated, err := node.ReadKeystore(path)
		i.compareOwner(ring, stated.Address)
		return fmt.Sprintf("%s states that it is %s, not decrypted: %s is not set, or empty", path, stated.Address, ring.PasswordVariable()), err
	}
	wallet, err := ring.OpenAccount(ctx)
	if err != nil {
		return "", err
	}
	i.compareOwner(ring, wallet.Address)
	return fmt.Sprintf("%s, decrypted", wallet.Address), nil
}

// compareOwner complains of a wallet that is not the one that the configuration
// names.
func (i *inspection) compareOwner(ring keys.Ring, found common.Address) {
	named := ring.Wallet.Address
	if named != (common.Address{}) && found != (common.Address{}) && found != named {
		i.Complain(ring.At()+".address", "is %s, and the wallet is %s", named, found)
	}
}

// split returns the errors that were joined into one.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// at writes a place in a file.
func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}
