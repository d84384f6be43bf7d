// Package orders is the commands that an owner has for the orders of its apps: mrelease
// order, rollback and revoke.
package orders

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// shell is a program, and what the flags of all commands say.
type shell struct {
	usage.Program
	registry func() registry.Client

	chain   string
	records []string
	dryRun  bool
	foreign bool
	why     string
}

// Commands returns mrelease order with what is below it, rollback and revoke.
func Commands(p usage.Program, registry func() registry.Client) []*cobra.Command {
	s := &shell{Program: p, registry: registry}
	c := usage.Parent("order", "The orders that sell the apps of the wallet", s.list(), s.publish(), s.close())
	c.Long = `order shows, opens and closes the orders by which runs of the wallet's apps are sold.
Apps and orders are found on the chain and in the market; records say more.`
	return []*cobra.Command{c, s.rollback(), s.revoke()}
}

// flags are those of all commands.
func (s *shell) flags(c *cobra.Command) {
	s.ConfigFlag(c)
	s.OnlyFlag(c)
	c.Flags().StringVar(&s.chain, "chain", "", "chain whose orders are meant (overrides chain)")
	c.Flags().StringArrayVar(&s.records, "record", nil, "record of a release, which knows its order; may be repeated (default: the file of record, if it is there)")
}

// writeFlags are those of the commands that change what is on sale.
func (s *shell) writeFlags(c *cobra.Command) {
	s.flags(c)
	c.Flags().BoolVar(&s.dryRun, "dry-run", false, "say what would be done, and what it would cost; change nothing")
}

func (s *shell) foreignFlag(c *cobra.Command) {
	c.Flags().BoolVar(&s.foreign, "foreign", false, "close orders too that mrelease did not make")
}

// desk is what a command acts on: the orders of a wallet.
type desk struct {
	*shell
	rotation.World
	settings settings.Settings
	ring     keys.Ring
	line     rotation.Line  // of the app that is configured
	payer    common.Address // who sends transactions
	records  []recorded
}

// recorded is a record, and the file that has it.
type recorded struct {
	path string
	record.Record
}

// open reads the settings and connects with chain and market. No password is needed yet.
func (s *shell) open(ctx context.Context, command string, need settings.Purpose) (*desk, error) {
	set := map[string]string{}
	if s.chain != "" {
		set["chain"] = s.chain
	}
	cfg, err := settings.Load(settings.Sources{Files: s.Files(), Getenv: s.Getenv, Flags: set, Only: s.Only()}, need)
	if err != nil {
		return nil, err
	}
	if cfg.Wallet.IsSafe() && !slices.Contains(forContracts(), command) {
		return nil, unsupported(command)
	}
	if _, ok := cfg.Profile(cfg.Chain); !ok {
		return nil, usage.Errorf(command, "no chain is named that is known: --chain, or chain in mrelease.yaml")
	}
	d := &desk{shell: s, settings: cfg, ring: keys.Ring{Sign: cfg.Sign, Wallet: cfg.Wallet, Getenv: s.Getenv, Mask: s.Mask, Token: s.Token, Tell: func(text string) { s.Note("%s", text) }}}
	if !s.dryRun && command != listCommand {
		if err := s.CheckRun(cfg.Chain, cfg.IsDevelopment()); err != nil {
			return nil, err
		}
	}
	if err := d.read(); err != nil {
		return nil, err
	}
	owner, stated, err := d.ring.Owner(ctx)
	if err != nil {
		return nil, err
	}
	if stated != "" {
		s.Note("wallet  %s, as %s states", owner, stated)
	}
	if d.payer, err = d.ring.PayerAddress(ctx); err != nil {
		return nil, err
	}
	if d.payer == (common.Address{}) {
		d.payer = owner
	}
	var world release.World
	if _, err := world.Connect(ctx, cfg); err != nil {
		return nil, err
	}
	world.Market.Tell = func(text string) { s.Note("%s", text) }
	d.World, d.line.Owner = rotation.World{Chain: world.Chain, Market: world.Market}, owner
	if need.Publish {
		d.line.Name = cfg.AppName()
	}
	return d, nil
}

// read reads the records that are named, else the configured one, if it is there.
func (d *desk) read() error {
	paths := d.shell.records
	if len(paths) == 0 {
		paths = []string{string(d.settings.Record)}
	}
	for _, path := range paths {
		rec, err := release.ReadRecord(path)
		if len(d.shell.records) == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		d.records = append(d.records, recorded{path, rec})
	}
	return nil
}

// explained returns the file whose record has an order; "" for none.
func (d *desk) explained(hash common.Hash) string {
	for _, r := range d.records {
		if r.Order.Hash == hash && r.Domain() == d.Chain.Domain() {
			return r.path
		}
	}
	return ""
}

// all are the records without their files.
func (d *desk) all() (all []record.Record) {
	for _, r := range d.records {
		all = append(all, r.Record)
	}
	return all
}

// of returns the record of an app; nil when there is none. One that names another owner is
// somebody else's, who signed it: its terms would be what the wallet sells for.
func (d *desk) of(app common.Address) (*recorded, error) {
	for i, r := range d.records {
		if common.Address(r.App.Address) != app || r.Domain() != d.Chain.Domain() {
			continue
		}
		if owner := common.Address(r.App.Owner); owner != d.line.Owner {
			return nil, &record.Error{Problem: "in " + r.path + " is not the wallet's", Got: "signed by " + owner.Hex(), Want: "signed by " + d.line.Owner.Hex()}
		}
		return &d.records[i], nil
	}
	return nil, nil
}

// terms are those by which an app is sold: of its record, else as they are configured.
func (d *desk) terms(app common.Address) (orders.Terms, error) {
	r, err := d.of(app)
	if r == nil {
		return d.settings.Order.Terms(), err
	}
	return orders.TermsOf(r.Order.Signed.AppOrder), nil
}
