package release

import "context"

// lookAhead looks at what chain, market and secret service will be asked to take, before anything is
// written anywhere: what they would refuse, after the image was pushed and signed for
// good, is refused now.
func (r *run) lookAhead(ctx context.Context) (string, error) {
	for _, s := range r.steps() {
		looks := []lookFunc{s.look, s.cost}
		switch s.name {
		case "register", "canary", "offer":
		case "secret":
			looks = []lookFunc{s.look, (*run).checkSecret}
		default:
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
			r.plan.Findings = append(r.plan.Findings, found...)
		}
	}
	return "", nil
}
