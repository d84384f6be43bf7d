package orders

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/settings"
)

const listCommand = "mrelease order list"

// listAnswer is the answer of mrelease order list --json.
type listAnswer struct {
	Schema string       `json:"schema"`
	Chain  string       `json:"chain"`
	Wallet string       `json:"wallet"`
	Orders []saleAnswer `json:"orders"`
}

func (s *shell) list() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Show every order that sells an app of the wallet",
		Long: `list shows every order of the wallet that the market lists, with what the chain says of
it: hash, release, app, price, tag, runs that are left, since when it is on sale, whether
mrelease made it, and which record has it. It needs no password.`,
		Example: "  mrelease order list\n  mrelease order list --chain bellecour --json --record v1.json --record v2.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := s.open(c.Context(), listCommand, settings.Purpose{})
			if err != nil {
				return err
			}
			sales, err := d.OnSale(c.Context(), d.line.Owner)
			if err != nil {
				return err
			}
			answer := listAnswer{"mrelease.order-list/v1", d.Chain.Name, d.line.Owner.Hex(), []saleAnswer{}}
			for _, sale := range sales {
				answer.Orders = append(answer.Orders, d.saleAnswer(sale))
				if err := d.row(sale); err != nil {
					return err
				}
			}
			d.Note("on sale on %s: %s of %s", d.Chain.Name, printable.Count(len(sales), "order"), d.line.Owner)
			if *d.JSON {
				return d.PrintJSON(d.Out, answer)
			}
			return nil
		},
	}
	s.flags(c)
	return c
}

// row prints an order in a line.
func (d *desk) row(s rotation.Sale) error {
	if *d.JSON {
		return nil
	}
	by := "made by mrelease"
	if !s.Own {
		by = "NOT made by mrelease"
	}
	told := "no record has it"
	if path := d.explained(s.Hash); path != "" {
		told = "recorded in " + path
	}
	if s.App.Owner != d.line.Owner {
		told += ", the app has another owner: nobody can match it"
	}
	if s.Left.Sign() <= 0 {
		told += ", it came to its end on chain"
	}
	_, err := fmt.Fprintf(d.Out, "%s  %s %s  %s nRLC  %s  %s left  since %s  %s, %s\n", s.Hash, printable.Text(s.App.Name), printable.Text(cmp.Or(s.Version(), "-")),
		s.Order.AppPrice, cmp.Or(strings.Join(s.Order.Tag.Names(), ","), "no tag"), s.Runs(), s.Since.UTC().Format(time.RFC3339), by, told)
	return err
}

func (s *shell) publish() *cobra.Command {
	c := &cobra.Command{
		Use:   "publish [VERSION]",
		Short: "Open an order of a release under the terms of the configuration",
		Long: `publish puts a release on sale under the terms in mrelease.yaml, without building it: the
version that is named, else the newest. An order of the same terms that was closed or sold
out stays so; another one is opened, which every machine derives in the same way. With the
release's record (--record) the record is written anew, with that order; and so are the
files of project, unless a later release is on sale. Other orders stay. A release that was revoked is refused, and an app whose image the key did not sign:
anybody can register one in the name of the wallet.`,
		Example: "  mrelease order publish 1.2.0\n  mrelease order publish --dry-run --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: s.acting("order-publish", settings.Purpose{Publish: true}, func(ctx context.Context, d *desk, args []string) (w work, err error) {
			app, err := d.pick(ctx, args, rotation.Releases.Newest)
			if err != nil {
				return w, err
			}
			if _, err := d.of(app.Address); err != nil { // before anything is opened that it could not take in
				return w, err
			}
			w.Change, err = d.Publish(ctx, d.line, app, d.settings.Order.Terms())
			return w, err
		}),
	}
	s.writeFlags(c)
	return c
}

func (s *shell) close() *cobra.Command {
	c := &cobra.Command{
		Use:   "close HASH...",
		Short: "Close orders for good",
		Long: `close closes orders of the wallet on chain, which nobody can undo, and takes them out of
the market. They are found in the market; an order that it does not list, in the records
that are named. An order that came to its end already is left. Where a Safe owns the app
(wallet.safe) what it has to call is written to dist/safe.json.`,
		Example: "  mrelease order close 0x…\n  mrelease order close 0x… --record old.json --dry-run",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			hashes, err := parseHashes(c.CommandPath(), args)
			if err != nil {
				return err
			}
			return s.acting("order-close", settings.Purpose{}, func(ctx context.Context, d *desk, _ []string) (w work, err error) {
				known := rotation.Known
				if d.settings.Wallet.IsSafe() {
					known = rotation.Presigned
				}
				w.Change, err = d.Close(ctx, d.line.Owner, hashes, known(d.Chain.Domain(), d.line.Owner, d.all()))
				return w, err
			})(c, args)
		},
	}
	s.writeFlags(c)
	return c
}

func parseHashes(command string, args []string) (hashes []common.Hash, err error) {
	for _, text := range args {
		bytes, err := hexutil.Decode(text)
		if err != nil || len(bytes) != common.HashLength {
			return nil, usage.Errorf(command, "want the hash of an order, 0x and 64 hex digits, got %q", text)
		}
		hashes = append(hashes, common.BytesToHash(bytes))
	}
	return hashes, nil
}
