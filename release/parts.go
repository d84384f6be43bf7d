package release

import (
	"errors"
	"slices"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// Part is something that a release leaves behind, and what is known of it when a run ended
// before its end.
type Part struct {
	Name  string   `json:"part"`
	State Progress `json:"state"`
	// Again: the same command, run again, does it, or finds it done.
	Again bool `json:"again"`
	// Never is why no run will do it under this version; empty where one can.
	Never    string `json:"never,omitempty"`
	Evidence string `json:"evidence,omitempty"` // what was read back, or why it is not there
}

// Progress is how far a part is.
type Progress string

// The states. What was begun may be done: an answer was lost, or not waited for.
const (
	PartDone  Progress = "done"
	PartBegun Progress = "begun"
	PartLeft  Progress = "not done"
)

// String says it in words.
func (p Part) String() string {
	text, more := string(p.State), p.Evidence
	switch {
	case p.State == PartBegun && p.Never != "":
		text += ", perhaps done: no more of it will be, as " + p.Never
	case p.State == PartLeft && p.Never != "":
		text += ": nor will it be, as " + p.Never
	case p.State == PartBegun && p.Again:
		text += ", perhaps done: running again finds it, or does it"
	case p.State == PartBegun:
		text += ", perhaps done: after the remedy, running again finds it, or does it"
	case p.State == PartLeft && p.Again:
		text += ": will be done by running again"
	case p.State == PartLeft:
		text += ": will be done by running again, after the remedy"
	}
	if more != "" {
		text += " (" + more + ")"
	}
	return text
}

// UnfinishedError is why a release did not come to its end, with each of its parts. Its
// text is that of its cause.
type UnfinishedError struct {
	Parts []Part
	Err   error
}

// Error implements error.
func (e *UnfinishedError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *UnfinishedError) Unwrap() error { return e.Err }

// made says which step makes a part, and which checks at the end are about it.
type made struct {
	part, step string
	checks     []string
}

func parts() []made {
	return []made{
		{"image", "push", []string{"blobs"}}, {"tag", "push", []string{"image", "git tag"}}, {"signature", "sign", []string{"signature"}}, {"provenance", "attest", []string{"provenance", referenceValues, record.SBOMCheck, record.VEXCheck}},
		{"app", "register", []string{"app"}}, {"app secret", "secret", nil}, {"groups", "groups", []string{"groups"}}, {"canary", "canary", nil}, {"order", "offer", []string{"order on chain", "order on market", "listing", "presignature"}},
		{"name", "name", []string{"ens name"}}, {"retired orders", "retire", []string{"old orders"}}, {"record", "record", []string{"record"}}, {"project files", "project", nil},
	}
}

// unfinished adds to the error of a step how far the parts are.
func (r *run) unfinished(steps []step, at int, err error) error {
	e := &UnfinishedError{Err: err}
	var unheld *UnheldError
	errors.As(err, &unheld)
	for _, m := range parts() {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == m.step }) {
			continue // a secret, a canary or a project that was not asked for
		}
		p := Part{Name: m.part, State: PartLeft}
		switch lacks := unheld.about(m.checks); {
		case lacks != nil:
			p.Evidence = lacks.Err.Error()
		case m.step == "push" && r.image.found:
			p.State, p.Evidence = PartDone, r.image.digest.DigestStr()
		case slices.Contains(r.told.done, m.step):
			p.State, p.Evidence = PartDone, r.told.evidence[m.step]
		case steps[at].name == m.step && r.told.begun == m.step:
			p.State = PartBegun
		case r.image.found && !slices.Contains(r.told.done, "push"): // nothing was looked for
			p.Evidence = "unless an earlier run did it"
		}
		if p.Name == "tag" && p.State == PartDone {
			p.Evidence = r.tag.Name()
		}
		if p.State != PartDone {
			p.Never = never(err)
		}
		e.Parts = append(e.Parts, p)
	}
	return e
}

// never says of an error whose remedy is another version, or the source that this one was
// released from, why the rest of the release at hand will never be done.
func never(err error) string {
	if _, revoked := errors.AsType[*record.RevokedError](err); revoked {
		return "the version was revoked"
	}
	if _, taken := errors.AsType[*registry.TakenError](err); taken {
		return "the version is taken"
	}
	return ""
}

// about returns the first of these checks that failed; nil when none did.
func (e *UnheldError) about(checks []string) *record.Check {
	if e == nil {
		return nil
	}
	for i, c := range e.Checks {
		if slices.Contains(checks, c.Name) {
			return &e.Checks[i]
		}
	}
	return nil
}
