package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/groups"
	"github.com/mrelease/mrelease/publish/names"
	"github.com/mrelease/mrelease/publish/rotation"
)

// joining is what the groups are to have: the app.
func (r *run) joining() (all []groups.Change) {
	for _, group := range r.Settings.App.Groups {
		all = append(all, groups.Change{Group: group, In: true})
	}
	return all
}

// standIn is an address that is nobody's, for an app that is not known yet.
func standIn() common.Address {
	return common.BytesToAddress(crypto.Keccak256([]byte("mrelease: an app that is not there yet")))
}

// appOr is the app's address, or what stands for it.
func (r *run) appOr() common.Address {
	if r.registration.Address == (common.Address{}) {
		return standIn()
	}
	return r.registration.Address
}

// joinGroups adds the app to the groups. It stands before the first run: a workerpool's
// order may be for a group, too.
func (r *run) joinGroups(ctx context.Context) (string, error) {
	sent, err := groups.Make(ctx, r.Chain, r.keys.wallet, r.registration.Address, r.joining())
	return r.note("groups", sent > 0, "app in "+printable.Count(len(r.Settings.App.Groups), "group")+": "+addresses(r.Settings.App.Groups)), err
}

func addresses(all []common.Address) string {
	var words []string
	for _, a := range all {
		words = append(words, a.Hex())
	}
	return strings.Join(words, ", ")
}

func (r *run) lookAtGroups(ctx context.Context) ([]Finding, error) {
	left, err := groups.Left(ctx, r.Chain, r.appOr(), r.joining())
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return []Finding{{"groups", There, "the app is in " + addresses(r.Settings.App.Groups)}}, nil
	}
	cost, err := groups.Check(ctx, r.Chain, r.owner(), r.appOr(), left)
	if err != nil {
		return nil, err
	}
	r.plan.joining = transactions{len(left), cost}
	var to []common.Address
	for _, c := range left {
		to = append(to, c.Group)
	}
	return []Finding{{"groups", ToMake, "the app would be added to " + addresses(to)}}, nil
}

// transactions are how many there are of a kind, and what they cost.
type transactions struct {
	number int
	cost   node.Cost
}

func (r *run) groupsCost(ctx context.Context) ([]Finding, error) {
	return r.pays(ctx, "of the groups", r.plan.joining)
}

// pays says what transactions cost. A wallet that cannot pay for them, beside the app, ends
// the plan as it would end the release.
func (r *run) pays(ctx context.Context, what string, t transactions) ([]Finding, error) {
	if t.number == 0 {
		return nil, nil
	}
	balance, err := r.Chain.CheckFunds(ctx, r.payer(), r.plan.creating.Plus(r.plan.knowing()))
	if err != nil {
		return nil, err
	}
	return []Finding{{"cost", Note, fmt.Sprintf("%s: %s, %d gas, %s coins; %s has %s", what, printable.Count(t.number, "transaction"), t.cost.Gas, node.Coins(t.cost.Wei()), r.purse(), node.Coins(balance))}}, nil
}

func (r *run) confirmGroups(ctx context.Context, c *node.Client) error {
	return groups.Confirm(ctx, c, r.registration.Address, r.joining())
}

// moveName makes the name lead to the app, whose order is on sale by now, while those
// before it still are.
func (r *run) moveName(ctx context.Context) (string, error) {
	l, stays, err := r.lead(ctx, r.Chain)
	if err != nil {
		return "", err
	}
	if stays != "" {
		return l.Name + " stays: " + stays, nil
	}
	moved, err := names.Move(ctx, r.Chain, r.keys.wallet, l.Name, r.registration.Address)
	if err != nil {
		return "", err
	}
	if moved.Unnamed != "" {
		r.Teller.Note("name    " + l.Name + " leads to the app, and the app's reverse record is not made: " + moved.Unnamed)
	}
	return r.note("name", moved.Transactions > 0, l.Name+" leads to "+r.registration.Address.Hex()), nil
}

// lead looks where the name leads. It stays with the app of a later release: a release that
// is run again, late, takes nothing from one that came after it.
func (r *run) lead(ctx context.Context, c *node.Client) (l names.Lead, stays string, err error) {
	if l, err = names.Look(ctx, c, string(r.Settings.App.ENS)); err != nil || l.At == r.registration.Address {
		return l, "", err
	}
	app, err := apps.Read(ctx, c, l.At)
	if _, none := errors.AsType[*apps.NoAppError](err); none {
		return l, "", nil
	}
	if line := (rotation.Line{Owner: r.owner(), Name: r.Settings.AppName()}); err == nil && line.HasLater(app, r.Source.Version) {
		stays = fmt.Sprintf("it leads to %s of %s, a later release", l.At, apps.Version(app))
	}
	return l, stays, err
}

func (r *run) lookAtName(ctx context.Context) ([]Finding, error) {
	l, stays, err := r.lead(ctx, r.Chain)
	switch {
	case err != nil:
		return nil, err
	case stays != "":
		return []Finding{{"name", There, l.Name + " stays: " + stays}}, nil
	}
	cost, number, err := l.Check(ctx, r.owner(), r.appOr())
	switch {
	case err != nil:
		return nil, err
	case number == 0:
		return []Finding{{"name", There, l.Name + " leads to the app"}}, nil
	}
	r.plan.lead = &l
	r.plan.naming = transactions{number, cost}
	now := "nothing"
	if l.At != (common.Address{}) {
		now = l.At.Hex()
	}
	return []Finding{{"name", ToMake, fmt.Sprintf("%s would lead to the app; it leads to %s now", l.Name, now)}}, nil
}

func (r *run) nameCost(ctx context.Context) ([]Finding, error) {
	return r.pays(ctx, "of the name", r.plan.naming)
}

func (r *run) confirmName(ctx context.Context, c *node.Client) error {
	if r.Settings.App.ENS == "" {
		return nil
	}
	_, stays, err := r.lead(ctx, c)
	if err != nil || stays != "" {
		return err
	}
	return names.Confirm(ctx, c, string(r.Settings.App.ENS), r.registration.Address)
}

// bindKnown adds where else the app would be known, and what the transactions for it call.
func (r *run) bindKnown(p *approval.Plan) {
	p.App.ENS = string(r.Settings.App.ENS)
	for _, group := range r.Settings.App.Groups {
		p.App.Groups = append(p.App.Groups, group.Hex())
	}
	slices.Sort(p.App.Groups)
	if slices.Contains(p.Writes, "groups") {
		p.Calls = append(p.Calls, r.joinCalls()...)
	}
	if l := r.plan.lead; l != nil && slices.Contains(p.Writes, "name") {
		hash, ens, name := l.Hash().Hex(), r.Chain.ENS.Hex(), l.Name
		p.Calls = append(p.Calls,
			approval.Call{To: l.Resolver().Hex(), Function: poco.ENSABI().Methods["setAddr"].Sig, Arguments: map[string]*string{"node": &hash, "a": p.App.Address}},
			approval.Call{To: "app.address", Function: poco.AppABI().Methods["setName"].Sig, Arguments: map[string]*string{"ens": &ens, "name": &name}})
	}
}

func (r *run) joinCalls() (calls []approval.Call) {
	var key *string
	if r.image.Image != nil && r.enclave.known {
		text := groups.Key(r.registration.Address).Hex()
		key = &text
	}
	for _, c := range r.joining() {
		t := c.Transaction(common.Address{})
		purpose, kind := fmt.Sprint(t.Args[1]), fmt.Sprint(t.Args[2])
		calls = append(calls, approval.Call{To: c.Group.Hex(), Function: t.Contract.ABI.Methods[t.Method].Sig, Arguments: map[string]*string{"key": key, "purpose": &purpose, "keyType": &kind}})
	}
	return calls
}
