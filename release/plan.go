package release

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/names"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// Plan is what a release would do.
type Plan struct {
	Version    string
	Commit     string // empty outside a repository
	Dirty      bool   // the source is something else than the commit
	Wallet     string // address of the app's owner
	StatedBy   string // who states that address; empty when the key was opened
	Payer      string // address of who sends the transactions and pays for them; empty when the owner does
	Inputs     v1.Hash
	Image      string // reference
	Digest     string // when the image is there
	AppAddress string // when the image is there and states its measurement
	OrderHash  string // likewise
	Findings   []Finding
	Cost       *Cost           // nil when the app is there
	Obstacles  []poco.Obstacle // who cannot use the order
	// Succession says what becomes of the orders beside the release's.
	Succession rotation.Succession
	Bound      approval.Plan // what would be approved

	creating node.Cost    // of the app
	joining  transactions // that add the app to its groups
	naming   transactions // that have the name lead to it
	lead     *names.Lead  // of the name, where it is to lead elsewhere
}

// Cost is what registering an app costs, in wei and as decimal text.
type Cost struct {
	Gas     uint64 `json:"gas"`
	Price   string `json:"price"`
	Wei     string `json:"wei"`
	Balance string `json:"balance"`
}

// With returns the names of the things of a state.
func (p Plan) With(state State) []string {
	names := []string{}
	for _, f := range p.Findings {
		if f.State == state {
			names = append(names, f.Name)
		}
	}
	return names
}

// Conclusion says in one line what a release would make.
func (p Plan) Conclusion() string {
	make, untold := p.With(ToMake), p.With(Unknown)
	retire := ""
	if old := p.With(ToRetire); len(old) > 0 {
		retire = "; would retire: " + printable.Count(len(old), "order")
	}
	return p.making(make, untold) + retire
}

// making says what a release would make.
func (p Plan) making(make, untold []string) string {
	switch {
	case len(make) > 0 && len(untold) > 0:
		return fmt.Sprintf("would make: %s; cannot tell: %s", strings.Join(make, ", "), strings.Join(untold, ", "))
	case len(make) > 0:
		return "would make: " + strings.Join(make, ", ")
	case len(untold) > 0:
		return "would make nothing else; cannot tell: " + strings.Join(untold, ", ")
	}
	return fmt.Sprintf("nothing would be made: image, signature, provenance, app and order of %s are there", p.Version)
}

// writes are the things that a release may make, in their order.
func (p Plan) writes() []string {
	return slices.DeleteFunc([]string{"image", "signature", "provenance", referenceValues, record.SBOMCheck, record.VEXCheck, "app", "secret", "groups", "canary", "order", "name"}, func(name string) bool {
		return !p.has(name, ToMake) && !p.has(name, Unknown)
	})
}

func (p Plan) has(name string, state State) bool {
	for _, f := range p.Findings {
		if f.Name == name && f.State == state {
			return true
		}
	}
	return false
}

func (p *Plan) add(t Teller, found []Finding) {
	for _, f := range found {
		p.Findings = append(p.Findings, f)
		t.Found(f)
	}
}

// knowing is what it costs to make the app known elsewhere.
func (p Plan) knowing() node.Cost { return p.joining.cost.Plus(p.naming.cost) }
