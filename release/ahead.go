package release

import (
	"context"
	"slices"
)

// lookAhead looks at what chain, market and secret service will be asked to take, before anything is
// written anywhere: what they would refuse, after the image was pushed and signed for
// good, is refused now. What was approved is compared with all that would be written.
func (r *run) lookAhead(ctx context.Context) (string, error) {
	if r.Approved != nil && !r.image.found {
		r.plan.Findings = append(r.plan.Findings, Finding{"image", ToMake, "it would be pushed"})
	}
	if err := r.checkVEX(); err != nil {
		return "", err
	}
	for _, s := range r.steps() {
		looks := []lookFunc{s.look, s.cost}
		switch {
		case slices.Contains([]string{"register", "secret", "groups", "canary", "offer", "name", "project"}, s.name):
		case r.Approved == nil || !s.writes:
			continue
		}
		for _, look := range looks {
			if look == nil {
				continue
			}
			found, err := look(r, ctx)
			if err != nil {
				return "", tell(r.Teller, s.name, func() (string, error) { return "", err })
			}
			for _, f := range found {
				if f.Name == secretService {
					r.Teller.Note(f.Name + " " + f.Evidence)
				}
			}
			r.plan.Findings = append(r.plan.Findings, found...)
		}
	}
	return "", nil
}
