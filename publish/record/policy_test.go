package record

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

const (
	hubOwner     = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	workflow     = "https://github.com/acme/hello/.github/workflows/release.yml"
	githubIssuer = "https://token.actions.githubusercontent.com"
)

// judged compares a release by an identity, of a signed enclave, with a policy.
func judged(ctx context.Context, p Policy, change func(*auditor)) (found, error) {
	a := auditor{outcomes: map[string]Check{
		SBOMCheck: {Word: Signed}, ReferenceCheck: {Word: Absent}, "measurement": {Err: &measure.UnmeasuredError{Err: errors.New("nothing was to be run")}},
		"canary": {Err: errors.New("it failed")},
	}}
	a.there = func() (poco.App, error) { return poco.App{Owner: common.HexToAddress(hubOwner)}, nil }
	a.Image = Image{Reference: "ghcr.io/acme/hello:1.0.0", Identity: &signing.Identity{Subject: workflow + "@refs/tags/v1.0.0", Issuer: githubIssuer}}
	a.Enclave.Signature = &Signature{MRSIGNER: sgx.MRSIGNER{1}, SVN: 3}
	a.Order.Signed.AppPrice = big.NewInt(7)
	p.Name = "p.yaml"
	a.World.Policy = &p
	if change != nil {
		change(&a)
	}
	return a.policy(ctx)
}

// Each rule that a release breaks is told, and no other.
func TestPolicy(t *testing.T) {
	owner, other := common.HexToAddress(hubOwner), common.Address{1}
	most := uint64(poco.MaxAmount)
	for name, c := range map[string]struct {
		policy Policy
		change func(*auditor)
		broken []string
	}{
		"all of it": {policy: Policy{
			Owners: []common.Address{other, owner}, Repositories: []string{"docker.io/x/y", "ghcr.io/acme/*"}, MRSIGNERs: []sgx.MRSIGNER{{2}, {1}}, SVN: 3,
			Signers: []Signer{{Identity: signing.Identity{Subject: workflow, Issuer: githubIssuer}}}, Require: []string{SBOMCheck}, MaxPrice: 7,
		}},
		"another owner":     {policy: Policy{Owners: []common.Address{other}, MaxPrice: most}, broken: []string{"owners"}},
		"the repository":    {policy: Policy{Repositories: []string{"ghcr.io/acme/hello"}, MaxPrice: most}},
		"all of a registry": {policy: Policy{Repositories: []string{"ghcr.io/*"}, MaxPrice: most}},
		"all of another":    {policy: Policy{Repositories: []string{"docker.io/*", "ghcr.io.example/*", "acme/*"}, MaxPrice: most}, broken: []string{"repositories"}},
		"of Docker's":       {policy: Policy{Repositories: []string{"acme/*"}, MaxPrice: most}, change: func(a *auditor) { a.Image.Reference = "docker.io/acme/hello:1.0.0" }},
		"an app without enclave": {
			policy: Policy{MRSIGNERs: []sgx.MRSIGNER{{1}}, Require: []string{"measurement"}, MaxPrice: most},
			change: func(a *auditor) {
				a.Enclave, a.Trust, a.outcomes["measurement"] = Enclave{Format: measure.None}, measure.TrustKnown, Check{Word: Proved}
			},
			broken: []string{"enclave.trust", "enclave.signers", "require: measurement"},
		},
		"one above":                {policy: Policy{Repositories: []string{"ghcr.io/acme"}, MaxPrice: most}, broken: []string{"repositories"}},
		"one that begins so":       {policy: Policy{Repositories: []string{"ghcr.io/acme/hell/*", "ghcr.io/acm/*", "ghcr.io/acme/hello/*"}, MaxPrice: most}, broken: []string{"repositories"}},
		"a lower security version": {policy: Policy{MRSIGNERs: []sgx.MRSIGNER{{1}}, SVN: 4, MaxPrice: most}, broken: []string{"enclave.isvsvn"}},
		"another enclave's signer": {policy: Policy{MRSIGNERs: []sgx.MRSIGNER{{2}}, MaxPrice: most}, broken: []string{"enclave.signers"}},
		"an enclave of nobody":     {policy: Policy{MRSIGNERs: []sgx.MRSIGNER{{1}}, SVN: 1, MaxPrice: most}, change: func(a *auditor) { a.Enclave.Signature = nil }, broken: []string{"enclave.signers"}},
		"a price":                  {policy: Policy{MaxPrice: 6}, broken: []string{"max-price"}},
		"a price beyond all":       {policy: Policy{MaxPrice: most - 1}, change: func(a *auditor) { a.Order.Signed.AppPrice = new(big.Int).Lsh(big.NewInt(1), 64) }, broken: []string{"max-price"}},
		"no price":                 {policy: Policy{MaxPrice: most - 1}, change: func(a *auditor) { a.Order.Signed.AppPrice = nil }, broken: []string{"max-price"}},
		"links": {
			policy: Policy{Require: []string{"measurement", ReferenceCheck, SBOMCheck, VEXCheck, "canary"}, MaxPrice: most},
			broken: []string{"require: measurement", "require: " + ReferenceCheck, "require: " + VEXCheck, "require: canary"},
		},
		"without a record": {policy: Policy{Owners: []common.Address{other}, MaxPrice: 0}, change: func(a *auditor) { a.Missing = &UnrecordedError{} }, broken: []string{"owners"}},
	} {
		f, err := judged(t.Context(), c.policy, c.change)
		var refused *PolicyError
		errors.As(err, &refused)
		var broken []string
		if refused != nil {
			for _, r := range refused.Rules {
				broken = append(broken, r.Key)
			}
		}
		if !slices.Equal(broken, c.broken) || err == nil && (f.word != Proved || !strings.HasPrefix(f.evidence, "p.yaml accepts ")) {
			t.Errorf("%s: got %q, %v, %v; want %q", name, broken, f, err, c.broken)
		}
	}
	for name, c := range map[string]struct {
		policy  Policy
		outcome error
		word    Word
		want    string
	}{
		"nothing that was compared": {Policy{MaxPrice: most}, &measure.UnmeasuredError{}, Absent, "p.yaml: nothing of it was compared; not compared, since the measurement was not looked at: enclave.trust"},
		"what was not measured":     {Policy{MRSIGNERs: []sgx.MRSIGNER{{1}}, MaxPrice: 7}, &measure.UnmeasuredError{}, Proved, "p.yaml accepts max-price, as far as the links above hold; not compared, since the measurement was not looked at: enclave.trust, enclave.signers"},
		"what was measured":         {Policy{MRSIGNERs: []sgx.MRSIGNER{{1}}, MaxPrice: most}, nil, Proved, "p.yaml accepts enclave.trust, enclave.signers, as far as the links above hold"},
	} {
		f, err := judged(t.Context(), c.policy, func(a *auditor) {
			a.Trust, a.outcomes["measurement"] = measure.TrustKnown, Check{Err: c.outcome}
		})
		if err != nil || f.word != c.word || f.evidence != c.want {
			t.Errorf("%s: got %+v, %v", name, f, err)
		}
	}
	_, err := judged(t.Context(), Policy{Owners: []common.Address{owner}}, func(a *auditor) { a.Missing = &UnrecordedError{} })
	if !Unchecked(err) {
		t.Errorf("without a record: %v", err)
	}
}

// An image counts as signed by one whom the policy accepts by the policy's own key or root.
func TestPolicySigners(t *testing.T) {
	const pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n"
	at := func(subject, issuer string) Signer {
		return Signer{Identity: signing.Identity{Subject: subject, Issuer: issuer}, TrustedRoot: []byte("root"), RootName: "r"}
	}
	for name, c := range map[string]struct {
		signers  []Signer
		key      string
		accepted bool
	}{
		"the workflow at any reference":  {signers: []Signer{at(workflow, githubIssuer)}, accepted: true},
		"at its reference":               {signers: []Signer{at("https://x/y", "https://z"), at(workflow+"@refs/tags/v1.0.0", githubIssuer)}, accepted: true},
		"at another":                     {signers: []Signer{at(workflow+"@refs/tags/v1.0.1", githubIssuer)}},
		"at one that begins so":          {signers: []Signer{at(workflow+"@refs/tags/v1.0", githubIssuer)}},
		"one that begins so":             {signers: []Signer{at(strings.TrimSuffix(workflow, "l"), githubIssuer)}},
		"by another issuer":              {signers: []Signer{at(workflow, githubIssuer+"/")}},
		"a key, where an identity is":    {signers: []Signer{{PublicKey: pem}}},
		"the key":                        {signers: []Signer{{PublicKey: "\n" + pem}}, key: pem, accepted: true},
		"an identity, where a key is":    {signers: []Signer{at(workflow, githubIssuer)}, key: pem},
		"a key that is none beside none": {signers: []Signer{{Identity: signing.Identity{Subject: "x", Issuer: "y"}}}, key: "x"},
	} {
		var is Signer
		_, err := judged(t.Context(), Policy{Signers: c.signers, MaxPrice: poco.MaxAmount}, func(a *auditor) {
			if c.key != "" {
				a.Image.Identity, a.Image.PublicKey = nil, c.key
			}
			a.World.Signer.RootName = "the record's"
			is = a.signer()
		})
		if accepted := err == nil; accepted != c.accepted || accepted == (is.RootName == "the record's") {
			t.Errorf("%s: %v, verified by %+v", name, err, is)
		}
	}
}
