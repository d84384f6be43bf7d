package main

import (
	"context"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
)

// reproduceAnswer is the answer of mrelease reproduce --json.
type reproduceAnswer struct {
	Schema       string       `json:"schema"`
	Reproducible bool         `json:"reproducible"`
	Against      string       `json:"against,omitempty"`
	Parts        []verdict    `json:"parts"`
	Diff         *diff.Report `json:"diff,omitempty"` // when the manifests differ
}

// verdict is the result for one part.
type verdict struct {
	Part    string       `json:"part"`
	Verdict diff.Verdict `json:"verdict"`
	A       string       `json:"a"`
	B       string       `json:"b"`
}

// judge compares and prints. Its error is an *irreproducibleError.
func (r reproducer) judge(ctx context.Context, a, b built) error {
	report, err := diff.Compare(ctx, a.image, b.image, release.Random(r.cfg.Enclave))
	if err != nil {
		return err
	}
	answer := reproduceAnswer{Schema: "mrelease.reproduce/v1", Against: r.against, Parts: r.verdicts(report, a, b), Reproducible: true}
	for _, v := range answer.Parts {
		answer.Reproducible = answer.Reproducible && v.Verdict != diff.Different
	}
	if report.Manifest.Verdict != diff.Equal {
		answer.Diff = &report
	}
	if err := r.print(answer); err != nil {
		return err
	}
	if answer.Reproducible {
		return nil
	}
	failed := error(&irreproducibleError{answer.Parts, report})
	if r.json {
		failed = toldError{failed}
	}
	return failed
}

// verdicts lists the parts in the order in which they matter.
func (r reproducer) verdicts(report diff.Report, a, b built) []verdict {
	var all []verdict
	if a.unsealed != nil && b.unsealed != nil {
		all = append(all, same("unsealed", a.unsealed.String(), b.unsealed.String()))
	}
	all = append(all,
		verdict{"config", report.Config.Verdict, report.Config.A.String(), report.Config.B.String()},
		verdict{"manifest", report.Manifest.Verdict, report.Manifest.A.String(), report.Manifest.B.String()})
	if r.cfg.Enclave.Format == measure.None {
		return all
	}
	all = append(all, same("MRENCLAVE", a.mrenclave.String(), b.mrenclave.String()))
	if r.cfg.Enclave.Format == measure.Legacy && a.value != b.value {
		keytag := func(value string) string { return strings.Join(strings.Split(value, "|")[:2], "|") }
		if keytag(a.value) != keytag(b.value) {
			all = append(all, verdict{"KEY|TAG", diff.Random, keytag(a.value), keytag(b.value)})
		}
	}
	return all
}

func same(part, a, b string) verdict {
	if a == b {
		return verdict{part, diff.Equal, a, b}
	}
	return verdict{part, diff.Different, a, b}
}

func (r reproducer) print(answer reproduceAnswer) error {
	if r.json {
		return printJSON(r.stdout, answer)
	}
	out := r.lines()
	for _, v := range answer.Parts {
		value := v.A
		if v.A != v.B {
			value += "\n" + strings.Repeat(" ", 29) + v.B
		}
		out.note("%-10s %-17s %s", v.Part, v.Verdict, value)
	}
	if answer.Diff != nil {
		return answer.Diff.WriteDetails(r.stdout, r.limit)
	}
	return nil
}

// irreproducibleError says that the same source gave something else.
type irreproducibleError struct {
	Parts  []verdict
	report diff.Report
}

func (e *irreproducibleError) Error() string {
	var parts []string
	for _, v := range e.Parts {
		if v.Verdict == diff.Different {
			parts = append(parts, v.Part)
		}
	}
	return "the build is not reproducible: " + strings.Join(parts, ", ") + " differ"
}

// Evidence returns the parts that differ and the gravest differences.
func (e *irreproducibleError) Evidence() [][2]string {
	var facts [][2]string
	for _, v := range e.Parts {
		if v.Verdict == diff.Different {
			facts = append(facts, [2]string{v.Part, v.A + "\n" + v.B})
		}
	}
	for _, line := range e.report.Worst(5) {
		facts = append(facts, [2]string{"differs", line})
	}
	return facts
}

// remedy is the cure of the gravest cause.
func (e *irreproducibleError) remedy() string {
	if slices.ContainsFunc(e.report.Annotations, func(f diff.Field) bool { return f.Name == registry.InputsAnnotation }) {
		return "check out the commit that the published image was made from, and give its --version"
	}
	for _, c := range e.report.Causes {
		if c.Name != diff.RandomSeal {
			return c.Cure
		}
	}
	return "look at the steps that make the files above: they use something that is not in the source, such as the time or a random number"
}
