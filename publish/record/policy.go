package record

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Policy is what whoever verifies accepts of a release. It is compared with what the other
// links find: that it is accepted means nothing where one of them does not hold. What is not
// set accepts anything.
type Policy struct {
	Name         string           // of its file
	Owners       []common.Address // of the app, now
	Repositories []string         // of the image; NAME/* is all below NAME
	Signers      []Signer         // of the image
	MRSIGNERs    []sgx.MRSIGNER   // of the enclave
	SVN          uint16           // the lowest of the enclave's, with MRSIGNERs
	Require      []string         // names of links that must be there and hold
	MaxPrice     uint64           // of a run, in nRLC; poco.MaxAmount accepts any
}

// PolicyCheck is the name of the comparison with a policy.
const PolicyCheck = "policy"

// signer is the one of a policy's signers that a record names.
func (p *Policy) signer(i Image) (s Signer, accepted bool) {
	if at := slices.IndexFunc(p.Signers, func(s Signer) bool { return s.is(i) }); at >= 0 {
		return p.Signers[at], true
	}
	return s, false
}

// signer is who must have signed: by the word of a policy, where the record names one whom
// it accepts. Whom it does not accept is verified too, and refused by the policy's own line.
func (a auditor) signer() Signer {
	if p := a.World.Policy; p != nil {
		if s, accepted := p.signer(a.Image); accepted {
			return s
		}
	}
	return a.Signer
}

// is reports whether it is the signer that a record names.
func (s Signer) is(i Image) bool {
	if i.Identity == nil {
		return s.PublicKey != "" && pemOf(s.PublicKey) == pemOf(i.PublicKey)
	}
	subject := i.Identity.Subject
	if !strings.Contains(s.Identity.Subject, "@") { // a workflow at any reference
		subject, _, _ = strings.Cut(subject, "@")
	}
	return subject == s.Identity.Subject && i.Identity.Issuer == s.Identity.Issuer
}

// String names a signer.
func (s Signer) String() string {
	if s.PublicKey == "" {
		return s.Identity.String()
	}
	return "the key in " + s.Name
}

// pemOf brings a public key into one form; one that is none stays as it is.
func pemOf(text string) string {
	key, err := signing.ParsePublicKey(text)
	if err != nil {
		return text
	}
	who, err := key.Who()
	if err != nil {
		return text
	}
	return who.PublicKey
}

// PolicyError says what of a release a policy does not accept.
type PolicyError struct {
	File  string
	Rules []Rule
}

// Rule is one that a release breaks.
type Rule struct{ Key, Got, Want string }

func (e *PolicyError) Error() string {
	return fmt.Sprintf("the policy %s does not accept it, by %s", e.File, printable.Count(len(e.Rules), "rule"))
}

// Evidence returns each rule, with what it wants.
func (e *PolicyError) Evidence() [][2]string {
	facts := [][2]string{{"where", e.File}}
	for _, r := range e.Rules {
		facts = append(facts, [2]string{r.Key, "expected " + r.Want + ", actual " + r.Got})
	}
	return facts
}

// judgement compares a release with a policy.
type judgement struct {
	*Policy
	broken []Rule
	kept   []string // keys
	open   []string // keys of rules about a measurement that was not looked at
}

// rule notes whether a rule holds; one that is not set is none.
func (j *judgement) rule(key string, set, holds bool, got, want string) {
	switch {
	case set && holds:
		j.kept = append(j.kept, key)
	case set:
		j.broken = append(j.broken, Rule{key, got, want})
	}
}

// policy asks whether what the other links are about is accepted.
func (a auditor) policy(context.Context) (found, error) {
	if a.World.Policy == nil {
		return found{}, nil
	}
	j := judgement{Policy: a.World.Policy}
	there, err := a.there()
	if err != nil {
		return found{}, &UncheckedError{"what a policy says of the app: " + err.Error()}
	}
	j.rule("owners", len(j.Owners) > 0, slices.Contains(j.Owners, there.Owner), there.Owner.Hex(), oneOf(j.Owners))
	if a.Missing == nil {
		j.release(a.Record)
		j.enclave(a)
	}
	j.require(a)
	switch {
	case len(j.broken) > 0:
		return found{}, &PolicyError{j.Name, j.broken}
	case a.Missing != nil:
		return found{}, &UncheckedError{"what a policy says of the image, its signer and its order: there is no record"}
	}
	return j.accepts(), nil
}

// accepts tells what was compared, and what was not.
func (j *judgement) accepts() found {
	text, word := j.Name+" accepts "+strings.Join(j.kept, ", ")+", as far as the links above hold", Proved
	if j.kept == nil {
		text, word = j.Name+": nothing of it was compared", Absent
	}
	if j.open != nil {
		text += "; not compared, since the measurement was not looked at: " + strings.Join(j.open, ", ")
	}
	return found{word: word, evidence: text}
}

func (j *judgement) release(r Record) {
	if tag, err := name.NewTag(r.Image.Reference); err == nil {
		lies := func(pattern string) bool { return lies(tag.Repository, pattern) }
		j.rule("repositories", len(j.Repositories) > 0, slices.ContainsFunc(j.Repositories, lies), tag.Repository.Name(), "one of "+strings.Join(j.Repositories, ", "))
	}
	_, accepted := j.signer(r.Image)
	j.rule("signers", len(j.Signers) > 0, accepted, r.Image.signer(), oneOf(j.Signers))
	price := r.Order.Signed.AppPrice
	j.rule("max-price", j.MaxPrice < poco.MaxAmount, price != nil && price.IsUint64() && price.Uint64() <= j.MaxPrice, fmt.Sprint(price), fmt.Sprintf("at most %d nRLC a run", j.MaxPrice))
}

// measured is the link that the rules about the enclave are about.
const measured = "measurement"

// enclave compares the enclave's signature with the rules. What a measurement has to rest on
// is compared by its own link, and what that found is taken from there.
func (j *judgement) enclave(a auditor) {
	rules := []struct {
		key string
		set bool
	}{{"enclave.trust", a.Trust != ""}, {"enclave.bases", len(a.Bases) > 0}, {"enclave.signers", len(j.MRSIGNERs) > 0}}
	for _, r := range rules {
		switch {
		case r.set && a.Enclave.Format == measure.None:
			j.rule(r.key, true, false, "no enclave: the app has no enclave value", "an enclave")
		case r.set && Unchecked(a.outcomes[measured].Err):
			j.open = append(j.open, r.key)
		case r.key != "enclave.signers":
			j.rule(r.key, r.set && a.outcomes[measured].Err == nil, true, "", "") // else the link says why
		}
	}
	s := a.Enclave.Signature
	switch {
	case len(j.MRSIGNERs) == 0 || a.Enclave.Format == measure.None:
	case s == nil:
		j.rule("enclave.signers", true, false, "an enclave that nobody signed", oneOf(j.MRSIGNERs))
	case !slices.Contains(j.MRSIGNERs, s.MRSIGNER) || !Unchecked(a.outcomes[measured].Err):
		j.rule("enclave.signers", true, slices.Contains(j.MRSIGNERs, s.MRSIGNER), s.MRSIGNER.String(), oneOf(j.MRSIGNERs))
	}
	if s != nil {
		j.rule("enclave.isvsvn", j.SVN > 0, s.SVN >= j.SVN, fmt.Sprint(s.SVN), fmt.Sprintf("at least %d", j.SVN))
	}
}

// require finds the links that must be there.
func (j *judgement) require(a auditor) {
	for _, link := range j.Require {
		c, there := a.outcomes[link]
		if link == measured && a.Missing == nil && a.Enclave.Format == measure.None { // that there is nothing to measure holds
			there = false
		}
		got := "it does not hold"
		switch {
		case !there, c.Word == Absent:
			got = "none"
		case Unchecked(c.Err):
			got = "it was not looked at"
		}
		j.rule("require: "+link, true, there && c.Err == nil && c.Word != Absent, got, "that it is there, and holds")
	}
}

// signer names who signed, as a record has it.
func (i Image) signer() string {
	if i.Identity != nil {
		return i.Identity.String()
	}
	key, err := signing.ParsePublicKey(i.PublicKey)
	if err != nil {
		return "a key that cannot be read"
	}
	return key.String()
}

// lies reports whether a repository is one of a pattern.
func lies(repository name.Repository, pattern string) bool {
	above, all := strings.CutSuffix(pattern, "/*")
	if registry, err := name.NewRegistry(above); all && err == nil && isHost(above) {
		return repository.Registry == registry
	}
	if !all {
		one, err := name.NewRepository(pattern)
		return err == nil && repository.Name() == one.Name()
	}
	below, err := name.NewRepository(above + "/x")
	return err == nil && strings.HasPrefix(repository.Name(), strings.TrimSuffix(below.Name(), "x"))
}

// isHost tells a registry from a folder of repositories, as names of images do.
func isHost(text string) bool {
	return !strings.Contains(text, "/") && (strings.ContainsAny(text, ".:") || text == "localhost")
}

// oneOf lists what is accepted.
func oneOf[T fmt.Stringer](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.String())
	}
	return "one of " + strings.Join(texts, ", ")
}
