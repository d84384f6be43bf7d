package orders

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/groups"
	"github.com/mrelease/mrelease/publish/names"
	"github.com/mrelease/mrelease/publish/record"
)

// known is where else an app is to be known, beside what is on sale: whether the name leads
// to it, and which groups have it.
type known struct {
	app    common.Address
	leads  bool           // the name is looked after: to
	to     common.Address // the app, or nothing
	groups []groups.Change
	left   []groups.Change // of these, what is not so yet

	cost         node.Cost
	transactions int
}

// findKnown finds what it takes that an app is known, or is not any more: then the name is
// to lead nowhere, if it leads to that app. What the wallet may not change is an error, but
// where an app is withdrawn, which nothing must keep from being done: that is told.
func (d *desk) findKnown(ctx context.Context, app common.Address, in bool) (k known, err error) {
	k.app = app
	if err := d.findName(ctx, &k, in); err != nil {
		return k, err
	}
	for _, group := range d.settings.App.Groups {
		if err := d.findGroup(ctx, &k, groups.Change{Group: group, In: in}); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (d *desk) findName(ctx context.Context, k *known, in bool) error {
	name := string(d.settings.App.ENS)
	if name == "" {
		return nil
	}
	l, err := names.Look(ctx, d.Chain, name)
	if err == nil {
		if in {
			k.to = k.app
		}
		if k.leads = in || l.At == k.app; !k.leads {
			return nil
		}
		var n int
		var cost node.Cost
		if cost, n, err = l.Check(ctx, d.line.Owner, k.to); err == nil && n > 0 {
			k.cost, k.transactions = k.cost.Plus(cost), k.transactions+n
		}
	}
	if _, cannot := errors.AsType[*names.Error](err); cannot && !in {
		k.leads = false
		d.Note("name    is left as it is: %v", err)
		return nil
	}
	return err
}

func (d *desk) findGroup(ctx context.Context, k *known, c groups.Change) error {
	left, err := groups.Left(ctx, d.Chain, k.app, []groups.Change{c})
	if err == nil && len(left) > 0 {
		var cost node.Cost
		if cost, err = groups.Check(ctx, d.Chain, d.line.Owner, k.app, left); err == nil {
			k.cost, k.transactions = k.cost.Plus(cost), k.transactions+1
		}
	}
	if _, cannot := errors.AsType[*groups.Error](err); cannot && !c.In {
		d.Note("group   is left as it is: %v", err)
		return nil
	}
	if err == nil {
		k.groups, k.left = append(k.groups, c), append(k.left, left...)
	}
	return err
}

// tellKnown tells of it before it is done.
func (d *desk) tellKnown(k known) {
	name := d.settings.App.ENS
	switch {
	case !k.leads:
	case k.to == common.Address{}:
		d.Note("name    %s leads to the app of that release, and is to lead nowhere: a release or rollback gives it another", name)
	default:
		d.Note("name    %s is to lead to %s", name, k.to)
	}
	for _, c := range k.left {
		if c.In {
			d.Note("group   %s is to have the app", c.Group)
		} else {
			d.Note("group   %s is to have the app no more", c.Group)
		}
	}
}

// makeKnown does it, and says whether that changed anything.
func (d *desk) makeKnown(ctx context.Context, wallet node.Wallet, k known) (changed bool, err error) {
	sent, err := groups.Make(ctx, d.Chain, wallet, k.app, k.groups)
	if err != nil || !k.leads {
		return sent > 0, err
	}
	moved, err := names.Move(ctx, d.Chain, wallet, string(d.settings.App.ENS), k.to)
	if moved.Unnamed != "" {
		d.Note("name    the app's reverse record is not made: %s", moved.Unnamed)
	}
	return sent+moved.Transactions > 0, err
}

// confirmKnown reads it again.
func (d *desk) confirmKnown(ctx context.Context, c *node.Client, k known) error {
	if err := groups.Confirm(ctx, c, k.app, k.groups); err != nil || !k.leads {
		return err
	}
	return names.Confirm(ctx, c, string(d.settings.App.ENS), k.to)
}

// knownAnswer is where else an app is known, or is not any more.
type knownAnswer struct {
	App    record.Address   `json:"app"`
	Name   string           `json:"name,omitempty"`   // that leads to it
	Freed  string           `json:"freed,omitempty"`  // name that leads nowhere
	Groups []record.Address `json:"groups,omitempty"` // that have it
	Left   []record.Address `json:"left,omitempty"`   // groups that have it no more
}

func (k known) answer(name string) *knownAnswer {
	a := &knownAnswer{App: record.Address(k.app)}
	if k.leads && k.to == k.app {
		a.Name = name
	} else if k.leads {
		a.Freed = name
	}
	for _, c := range k.groups {
		if c.In {
			a.Groups = append(a.Groups, record.Address(c.Group))
		} else {
			a.Left = append(a.Left, record.Address(c.Group))
		}
	}
	if a.Name == "" && a.Freed == "" && k.groups == nil {
		return nil
	}
	return a
}
