package publishtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/sandbox/world"
)

const (
	richPayer = 1
	poorOwner = 1000 // beyond the accounts that have coins
	poorPayer = 1001
)

// openPaidShop is a shop of an owner without coins, for whom another wallet pays.
func openPaidShop(t *testing.T, w *world.World, c world.Chain) shop {
	t.Helper()
	s := openShop(t, w, c)
	s.wallet = wallet(t, poorOwner).PaidBy(wallet(t, richPayer))
	s.line.Owner = s.wallet.Address
	return s
}

// An owner without coins releases, retires, goes back, and closes in parallel: all is the
// owner's, and the payer sends and pays for it.
func TestPayer(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := openPaidShop(t, w, c)
			payer := s.wallet.Payer().Address
			first, second := s.release(t, "1.0.0", terms), s.release(t, "2.0.0", terms)
			before := nonce(t, c, payer)
			expect(t, "retired", s.rotate(t, second), "1")
			expect(t, "transactions", nonce(t, c, payer)-before, "1")
			expect(t, "again", s.rotate(t, second), "0")
			expect(t, "open", s.open(t, first, second), "[2.0.0]")

			there, err := apps.Lookup(t.Context(), s.Chain, versioned(s.wallet, "1.0.0"))
			if err != nil {
				t.Fatal(err)
			}
			back, err := s.Rollback(t.Context(), s.line, there, terms, false)
			if err != nil {
				t.Fatal(err)
			}
			var errs [3]error
			together(len(errs), func(i int) { _, errs[i] = s.Do(t.Context(), s.wallet, back) })
			if err := errors.Join(errs[:]...); err != nil {
				t.Error(err)
			}
			if err := s.Confirm(t.Context(), s.wallet.Address, back); err != nil {
				t.Error(err)
			}
			expect(t, "transactions of the owner", nonce(t, c, s.wallet.Address), "0")
			if balance, err := s.Chain.Balance(t.Context(), s.wallet.Address); err != nil || balance.Sign() != 0 {
				t.Errorf("the owner has %v, %v", balance, err)
			}
		})
	}
}

// What a plan says that closing costs is enough for it with the owner's signature, and what
// it is without one does not come near that.
func TestPayerCost(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := openPaidShop(t, w, c)
		sale := s.release(t, "1.0.0", terms)
		order := orders.New(s.Chain.Domain(), sale.App, terms)
		payer := s.wallet.Payer().Address
		own, err := node.EstimateClose(t.Context(), s.Chain, s.wallet.Address, s.wallet.Address, order)
		if err != nil {
			t.Fatal(err)
		}
		foreseen, err := node.EstimateClose(t.Context(), s.Chain, s.wallet.Address, payer, order)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := s.wallet.SignTypedData(t.Context(), order.ClosingData(s.Chain.Domain()))
		if err != nil {
			t.Fatal(err)
		}
		method, argument := order.Closing(signature)
		needed, err := s.Chain.Estimate(t.Context(), payer, s.Chain.HubContract(), method, argument)
		if err != nil || needed.Gas > foreseen.Gas || needed.Gas <= own.Gas {
			t.Errorf("%s: %d gas foreseen, %d needed, %d of the owner's own, %v", c.Name, foreseen.Gas, needed.Gas, own.Gas, err)
		}
	}
}

// The hub takes nobody's word but the owner's, and nothing is sent that it would refuse.
func TestPayerOfNobody(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := openPaidShop(t, w, c)
		sale := s.release(t, "1.0.0", terms)
		order := orders.New(s.Chain.Domain(), sale.App, terms)
		other := orders.New(s.Chain.Domain(), sale.App, orders.Terms{Price: 8, Volume: 10, Tag: terms.Tag})
		stranger := wallet(t, 2)
		before := nonce(t, c, s.wallet.Payer().Address)
		var refused *node.RevertedError
		if closed, err := node.Close(t.Context(), s.Chain, stranger.PaidBy(s.wallet.Payer()), order); closed || !errors.As(err, &refused) || !strings.Contains(err.Error(), "invalid-sender-or-signature") {
			t.Errorf("%s: a stranger's word closed it: %t, %v", c.Name, closed, err)
		}
		signature, err := s.wallet.SignTypedData(t.Context(), other.ClosingData(s.Chain.Domain()))
		if err != nil {
			t.Fatal(err)
		}
		method, argument := order.Closing(signature)
		if _, err := s.Chain.Send(t.Context(), s.wallet, s.Chain.HubContract(), method, argument); !errors.As(err, &refused) || !strings.Contains(err.Error(), "invalid-sender-or-signature") {
			t.Errorf("%s: the word about another order closed it: %v", c.Name, err)
		}
		expect(t, "transactions", nonce(t, c, s.wallet.Payer().Address)-before, "0")
		expect(t, "open", s.open(t, sale), "[1.0.0]")
	}
}

// Who has too little is told by name; and the payer may be the owner.
func TestPayerWithoutCoins(t *testing.T) {
	w := startWorld(t)
	s := openPaidShop(t, w, w.V6)
	poor := wallet(t, poorPayer)
	var funds *node.FundsError
	if _, err := apps.Register(t.Context(), s.Chain, s.wallet.PaidBy(poor), versioned(s.wallet, "1.0.0"), enclave); !errors.As(err, &funds) || funds.Wallet != poor.Address {
		t.Errorf("got %v, want that %s cannot pay", err, poor.Address)
	}
	own := openShop(t, w, w.V6)
	own.wallet = own.wallet.PaidBy(own.wallet)
	if own.wallet.Payer().Address != own.wallet.Address {
		t.Errorf("%s is paid for by %s", own.wallet.Address, own.wallet.Payer().Address)
	}
	var sales []rotation.Next
	for _, version := range []string{"1.0.0", "2.0.0"} {
		sales = append(sales, own.release(t, version, terms))
	}
	expect(t, "retired", own.rotate(t, sales[1]), "1")
}
