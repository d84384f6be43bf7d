package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/vex"
)

// VEXCheck is the name of the check of VEX documents.
const VEXCheck = "VEX"

// VEXAttestation is the statement of an image with a VEX document. No record names it: it
// may be followed by newer ones as long as the image is used.
func VEXAttestation(d vex.Document) registry.Attestation {
	return registry.Attestation{Type: vex.Type, Predicate: json.RawMessage(d.Raw)}
}

// VEXError says that what the image's key attests as a VEX document is none, or that nobody
// can tell which of several counts.
type VEXError struct {
	Image   name.Digest
	Problem string
}

func (e *VEXError) Error() string { return "a VEX document that is attested " + e.Problem }

// Evidence returns what is wanted, and where the statement is.
func (e *VEXError) Evidence() [][2]string {
	return [][2]string{{"expected", "documents of OpenVEX 0.2.0, of each @id one in a version"}, {"where", e.Image.String()}}
}

// VEX returns the documents that a signer attests of an image, each once, and how many are of
// a version of OpenVEX that is not known here. Its error is a [*VEXError].
func VEX(said registry.Statements, image name.Digest) (all []vex.Document, unknown int, err error) {
	for _, predicate := range slices.Concat(said.Predicates(vex.Type), said.Predicates(vex.Context)) {
		d, err := vex.Parse(predicate)
		_, other := errors.AsType[*vex.UnknownError](err)
		wrong, malformed := errors.AsType[*vex.Error](err)
		switch {
		case other:
			unknown++
		case malformed:
			return nil, 0, &VEXError{image, strings.Join(wrong.Problems, "; ")}
		case err != nil:
			return nil, 0, err
		case !slices.ContainsFunc(all, d.Equal):
			all = append(all, d)
		}
	}
	return all, unknown, nil
}

// vex tells what the image's signer says of vulnerabilities. Nothing else in a verification
// depends on it, and most images have none: then there is no line. Why the statements cannot
// be read is told with the signature.
func (a auditor) vex(context.Context) (found, error) {
	said, err := a.statements()
	if err != nil {
		return found{}, nil
	}
	image, err := a.imageDigest()
	if err != nil {
		return found{}, err
	}
	all, unknown, err := VEX(said.Statements, image)
	switch {
	case err != nil:
		return found{}, err
	case unknown > 0:
		return found{}, &UncheckedError{fmt.Sprintf("%s of the image's signer of a version of OpenVEX that is not known here", printable.Count(unknown, "VEX document"))}
	case len(all) == 0:
		return found{}, nil
	}
	current, err := vex.Current(all)
	if wrong, ok := errors.AsType[*vex.Error](err); ok {
		return found{}, &VEXError{image, strings.Join(wrong.Problems, "; ")}
	} else if err != nil {
		return found{}, err
	}
	return signed(fmt.Sprintf("with %s: %s; that this is so is the author's word, and was not checked%s", said.word, a.assessed(image, all, current), a.unseen(said))), nil
}

// unseen says that there may be newer documents than those that were read.
func (a auditor) unseen(said statements) string {
	if said.Complete() == nil {
		return ""
	}
	return "; more may be among the statements that were not read"
}

// assessed tells the newest document, and what it says of the image.
func (a auditor) assessed(image name.Digest, all, current []vex.Document) string {
	newest := current[0]
	about := newest.About(a.vexImage(image))
	text := fmt.Sprintf("%s, the newest %.200q, version %d, by %.100q of %s: %s", printable.Count(len(all), "document"), newest.ID, newest.Version, newest.Author, newest.Time.UTC().Format(time.RFC3339), Assessed(about))
	if more := len(newest.Statements) - len(about); more > 0 {
		text += fmt.Sprintf(" of this image, and %s about something else", printable.Count(more, "statement"))
	}
	if more := len(current) - 1; more > 0 {
		text += fmt.Sprintf("; %s by another @id not counted", printable.Count(more, "document"))
	}
	return text
}

func (a auditor) vexImage(image name.Digest) vex.Image {
	i := vex.Image{Repository: image.Repository.Name(), Digest: image.DigestStr()}
	if tag, err := name.NewTag(a.Image.Reference); err == nil {
		i.Tag = tag.TagStr()
	}
	return i
}

// maxNamed is how many vulnerabilities are named: there may be hundreds.
const maxNamed = 5

// Assessed counts statements by their status, and names vulnerabilities to act on.
func Assessed(statements []vex.Statement) string {
	var parts []string
	for _, status := range vex.Statuses() {
		var names []string
		for _, s := range statements {
			if s.Status == status {
				names = append(names, vulnerability(s.Vulnerability))
			}
		}
		if len(names) == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", len(names), status)
		if status == vex.Affected || status == vex.UnderInvestigation {
			part += " (" + strings.Join(names[:min(len(names), maxNamed)], ", ")
			if more := len(names) - maxNamed; more > 0 {
				part += fmt.Sprintf(" and %d more", more)
			}
			part += ")"
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// plainName matches names that are shown as they are: no other could be read as a count.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,59}$`)

func vulnerability(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%.60q", name)
}

// attestsVEX is the check of documents that were just attested.
func (a auditor) attestsVEX(documents []vex.Document) func(context.Context) (found, error) {
	return func(context.Context) (found, error) {
		said, err := a.statements()
		if err != nil {
			return found{}, err
		}
		for _, d := range documents {
			err := said.CheckAttestation(VEXAttestation(d))
			if missing, ok := errors.AsType[*registry.UnattestedError](err); ok {
				return found{}, &VEXError{missing.Image, fmt.Sprintf("is not there: %.200q, version %d", d.ID, d.Version)}
			} else if err != nil {
				return found{}, err
			}
		}
		return signed("with " + said.word), nil
	}
}
