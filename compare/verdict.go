package compare

import (
	"context"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// Part is the verdict for one part of a release.
type Part struct {
	Part    string       `json:"part"`
	Verdict diff.Verdict `json:"verdict"`
	A       string       `json:"a"`
	B       string       `json:"b"`
}

// Verdict says whether two builds are one release: each part is equal, random by
// design, or different.
type Verdict struct {
	Parts     []Part
	MRENCLAVE measure.MRENCLAVE // of the first
	Report    diff.Report
	Builders  [2]string // that built them; empty for a published image
}

// Reproducible reports whether no part differs.
func (v Verdict) Reproducible() bool {
	return !slices.ContainsFunc(v.Parts, func(p Part) bool { return p.Verdict == diff.Different })
}

// Err is nil for a release that was reproduced, else an [*IrreproducibleError].
func (v Verdict) Err() error {
	if v.Reproducible() {
		return nil
	}
	return &IrreproducibleError{v}
}

func judge(ctx context.Context, e settings.Enclave, a, b built) (Verdict, error) {
	report, err := diff.Compare(ctx, a.image, b.image, release.Random(e))
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{parts(e, report, a, b), a.mrenclave, report, [2]string{a.builder, b.builder}}, nil
}

// parts lists the parts in the order in which they matter.
func parts(e settings.Enclave, report diff.Report, a, b built) []Part {
	var all []Part
	if a.unsealed != nil && b.unsealed != nil {
		all = append(all, same("unsealed", a.unsealed.String(), b.unsealed.String()))
	}
	all = append(all,
		Part{"config", report.Config.Verdict, report.Config.A.String(), report.Config.B.String()},
		Part{"manifest", report.Manifest.Verdict, report.Manifest.A.String(), report.Manifest.B.String()})
	if e.Format == measure.None {
		return all
	}
	all = append(all, same("MRENCLAVE", a.mrenclave.String(), b.mrenclave.String()))
	if e.Format == measure.Legacy && a.value != b.value {
		keytag := func(value string) string { return strings.Join(strings.Split(value, "|")[:2], "|") }
		if keytag(a.value) != keytag(b.value) {
			all = append(all, Part{"KEY|TAG", diff.Random, keytag(a.value), keytag(b.value)})
		}
	}
	return all
}

func same(part, a, b string) Part {
	if a == b {
		return Part{part, diff.Equal, a, b}
	}
	return Part{part, diff.Different, a, b}
}

// IrreproducibleError says that the same source gave something else.
type IrreproducibleError struct{ Verdict Verdict }

// Error implements error.
func (e *IrreproducibleError) Error() string {
	var parts []string
	for _, p := range e.different() {
		parts = append(parts, p.Part)
	}
	return "the build is not reproducible: " + strings.Join(parts, ", ") + " differ"
}

func (e *IrreproducibleError) different() []Part {
	return slices.DeleteFunc(slices.Clone(e.Verdict.Parts), func(p Part) bool { return p.Verdict != diff.Different })
}

// Evidence returns the parts that differ and the gravest differences.
func (e *IrreproducibleError) Evidence() [][2]string {
	var facts [][2]string
	if two := e.Verdict.Builders; two[0] != two[1] {
		facts = append(facts, [2]string{"built by", strings.TrimSuffix(two[0]+"\n"+two[1], "\n")})
	}
	for _, p := range e.different() {
		facts = append(facts, [2]string{p.Part, p.A + "\n" + p.B})
	}
	for _, line := range e.Verdict.Report.Worst(5) {
		facts = append(facts, [2]string{"differs", line})
	}
	return facts
}

// Remedy is the cure of the gravest cause.
func (e *IrreproducibleError) Remedy() string {
	report := e.Verdict.Report
	if slices.ContainsFunc(report.Annotations, func(f diff.Field) bool { return f.Name == registry.InputsAnnotation }) {
		return "check out the commit that the published image was made from, and give its --version"
	}
	for _, c := range report.Causes {
		if c.Name != diff.RandomSeal {
			return c.Cure
		}
	}
	return "look at the steps that make the files above: they use something that is not in the source, such as the time or a random number"
}
