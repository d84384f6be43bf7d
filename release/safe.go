package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/batch"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/settings"
)

// WaitingError says that all is done but what only the contract that owns the app can do, by
// calls that were written to a file.
type WaitingError struct {
	Owner common.Address
	Path  string
	Calls []string // in words
}

func (e *WaitingError) Error() string {
	return fmt.Sprintf("what is left waits for %s, which owns the app: %s of the hub to be executed by it", e.Owner, printable.Count(len(e.Calls), "call"))
}

// Evidence returns what waits, and where it is written.
func (e *WaitingError) Evidence() [][2]string {
	facts := [][2]string{{"file", e.Path}}
	for _, call := range e.Calls {
		facts = append(facts, [2]string{"waits", call})
	}
	return facts
}

// unsold is why no market has the order of a contract.
const unsold = "on no market: it takes no order without a signature, nor the login of a contract; who has the record has the order"

// checkSafe makes sure, before anything is built, that the owner can be one: an app that is
// registered for an address at which there is no contract would be nobody's. An approval
// binds what a release calls, and not what a contract's owners approve by themselves.
func (r Release) checkSafe(ctx context.Context) error {
	safe := r.Settings.Wallet.Safe
	if !r.Settings.Wallet.IsSafe() {
		return nil
	}
	if r.Approved != nil {
		return unapprovable()
	}
	is, err := r.Chain.IsContract(ctx, safe)
	if err == nil && !is {
		err = &settings.Error{Problems: []settings.Problem{{
			Where: "wallet.safe", Text: fmt.Sprintf("there is no contract at %s on %s", safe, r.Chain.Name),
			Cure: "name the Safe's address on this chain; a Safe is deployed on each chain by itself",
		}}}
	}
	return err
}

func unapprovable() error {
	return &settings.Error{Problems: []settings.Problem{{
		Where: "wallet.safe", Text: "a plan that is approved in a file stands beside wallet.safe, whose owners approve by themselves what it calls",
		Cure: "run mrelease release: what it cannot do itself it writes to a file for the Safe",
	}}}
}

// recordFirst has the record stand before the order that names it.
func recordFirst(all []step) []step {
	is := func(name string) func(step) bool { return func(s step) bool { return s.name == name } }
	from := slices.IndexFunc(all, is("record"))
	rec := all[from]
	all = slices.Delete(all, from, from+1)
	return slices.Insert(all, slices.IndexFunc(all, is("offer")), rec)
}

// offerPresigned finds that the owner presigned the order, or asks for it.
func (r *run) offerPresigned(ctx context.Context) (string, error) {
	rec, err := r.record(ctx)
	if err != nil {
		return "", err
	}
	order := rec.Order.Signed
	left, err := node.Remaining(ctx, r.Chain, order.AppOrder)
	if err != nil {
		return "", err
	}
	r.offering = orders.Offering{Order: order, Hash: rec.Order.Hash, Remaining: left.Uint64()}
	if err := node.CheckLeft(r.Chain, order.AppOrder, left); err != nil {
		return "", err
	}
	presigned, err := node.IsSigned(ctx, r.Chain, order, r.owner())
	if err != nil {
		return "", err
	}
	if !presigned {
		return "", r.askSafe(ctx, &order.AppOrder)
	}
	return r.note("offer", false, fmt.Sprintf("order %s, presigned by %s, %s", r.offering.Hash, r.owner(), unsold)), nil
}

// askSafe writes what the owner has to call: first what opens the order, unless that is
// open, and then what ends the sale of earlier ones. Its error is a [*WaitingError].
func (r *run) askSafe(ctx context.Context, open *poco.AppOrder) error {
	b := batch.Batch{
		Chain: r.Chain.Chain, Caller: r.owner(), Time: time.Unix(r.origin.Epoch, 0),
		Name: r.Settings.AppName() + " " + r.Source.Version,
	}
	add := func(call func(poco.AppOrder, string) (batch.Call, error), order poco.AppOrder, what string) error {
		c, err := call(order, what)
		b.Calls = append(b.Calls, c)
		return err
	}
	if open != nil {
		if err := add(batch.Presign, *open, fmt.Sprintf("presign order %s of %s", r.offering.Hash, r.Source.Version)); err != nil {
			return err
		}
	}
	s, err := r.succession(ctx)
	if err != nil {
		return err
	}
	for _, sale := range s.Retire {
		if err := add(batch.Close, sale.Order.AppOrder, fmt.Sprintf("close order %s of %s", sale.Hash, printable.Text(sale.Version()))); err != nil {
			return err
		}
	}
	return AskSafe(b, r.Settings)
}

// AskSafe writes what a contract has to call into the file for its interface. Its error is a
// [*WaitingError], or that of [WriteOutput].
func AskSafe(b batch.Batch, cfg settings.Settings) error {
	data, err := b.Encode()
	if err != nil {
		return err
	}
	path := cfg.Apps.Output("safe.json")
	if err := WriteOutput(path, data); err != nil {
		return err
	}
	return &WaitingError{b.Caller, path, b.What()}
}

// lookForPresigned says whether the owner presigned an order of the app under these terms, of
// which the record beside the image says what it is of.
func (r *run) lookForPresigned(ctx context.Context) ([]Finding, error) {
	terms := r.Settings.Order
	asked := Finding{"order", ToMake, fmt.Sprintf("%s would be asked to presign it, by a file for its interface, %s: %s", r.owner(), r.Settings.Apps.Output("safe.json"), terms)}
	market := Finding{"market", Note, "the order would be " + unsold}
	if !r.plan.has("app", There) {
		if !r.enclave.known {
			asked.State, _ = r.unknown("")
		}
		return r.withBuyers(ctx, common.Address{}, asked, market)
	}
	records, err := r.shelf().Of(ctx, r.registration)
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, record.Record.IsReopened) // a rollback opened those: a release has the first
	for _, o := range rotation.Presigned(r.Chain.Domain(), r.owner(), records) {
		if !o.Equal(poco.SignedAppOrder{AppOrder: withSalt(terms.Terms().Unsalted(o.App), o.Salt)}) {
			continue
		}
		hash := o.Hash(r.Chain.Domain())
		left, err := node.Remaining(ctx, r.Chain, o.AppOrder)
		if err != nil {
			return nil, err
		}
		if left.Sign() <= 0 {
			asked.Evidence += fmt.Sprintf("; %s of the same terms came to its end, and if the record is as that of then, the release ends there (E-ORDER-SPENT): mrelease rollback %s sells it again", hash, r.Source.Version)
			continue
		}
		r.offering.Hash = hash
		r.plan.OrderHash = hash.Hex()
		return append([]Finding{{"order", There, fmt.Sprintf("%s is presigned by %s, %s left; %s", hash, r.owner(), printable.Count(left.Uint64(), "run"), unsold)}}, r.obstacles(r.registration.App.MREnclave)...), nil
	}
	return r.withBuyers(ctx, r.registration.Address, asked, market)
}

func withSalt(order poco.AppOrder, salt common.Hash) poco.AppOrder {
	order.Salt = salt
	return order
}

// withBuyers adds who could run an order that is still to be opened, and who cannot use it.
func (r *run) withBuyers(ctx context.Context, address common.Address, found ...Finding) ([]Finding, error) {
	app, err := r.app()
	if err != nil {
		return nil, err
	}
	buyers, err := r.buyers(ctx, r.Settings.Order.Terms().Unsalted(address))
	if err != nil {
		return nil, err
	}
	return slices.Concat(found, buyers, r.serving(ctx), r.obstacles(app.MREnclave)), nil
}

// shelf is where the orders of an owner without a key are found.
func (r *run) shelf() rotation.Shelf {
	return rotation.Shelf{World: record.World{Registry: r.Registry, Chain: r.Chain}, Repository: r.tag.Repository, Tell: r.Teller.Note}
}

// presigned returns the orders that the owner presigned for releases of the line.
func (r *run) presigned(ctx context.Context) ([]poco.SignedAppOrder, error) {
	records, err := r.shelf().Line(ctx, rotation.Line{Owner: r.owner(), Name: r.Settings.AppName()})
	return rotation.Presigned(r.Chain.Domain(), r.owner(), records), err
}
