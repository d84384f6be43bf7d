package orders

import (
	"fmt"
	"time"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/batch"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// closeCommand is the one that does something for the orders of a contract.
const closeCommand = "mrelease order close"

// unsupported says of a command that it does nothing for them.
func unsupported(command string) error {
	return &settings.Error{Problems: []settings.Problem{{
		Where: "wallet.safe",
		Text:  command + " does nothing for apps that a contract owns: no market has their orders",
		Cure:  closeCommand + " HASH --record FILE asks the contract to end a sale; the release of a later version does by itself",
	}}}
}

// askSafe has the contract that owns the apps end what is to be ended, by a file for its
// interface. The file is the same each time, and has no time of its own.
func (d *desk) askSafe(w work, answer *changeAnswer) error {
	answer.fill(w, node.Cost{}, 0)
	b := batch.Batch{Chain: d.Chain.Chain, Caller: d.line.Owner, Time: time.Unix(0, 0), Name: "end the sale of apps"}
	for _, sale := range w.End {
		if sale.Left.Sign() <= 0 {
			continue
		}
		c, err := batch.Close(sale.Order.AppOrder, fmt.Sprintf("close order %s of %s", sale.Hash, printable.Text(sale.Version())))
		if err != nil {
			return err
		}
		b.Calls = append(b.Calls, c)
	}
	switch {
	case d.dryRun:
		d.Note("dry run: nothing was changed")
		return nil
	case len(b.Calls) == 0:
		d.Note("nothing was changed: all of it was so already")
		return nil
	}
	return release.AskSafe(b, d.settings)
}
