package requesttest

import (
	"math/big"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
)

// Another wallet makes the deal and closes requests for a requester, who sends the deposit
// alone, since that is the requester's own.
func TestBuyPaidByAnother(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 4, Volume: 10, Tag: poco.TEE()})
		requester := s.requester.PaidBy(s.wallet(3))
		sent := func(w node.Wallet) uint64 {
			n, err := s.chain.Client.NonceAt(t.Context(), w.Address, nil)
			must(t, err)
			return n
		}
		own, paid := sent(requester), sent(requester.Payer())
		r := s.request(nil)
		bought, made, err := s.trade.Buy(t.Context(), requester, r, deal.Buying{Deposit: true})
		if err != nil || !made || bought.Requester != requester.Address {
			t.Fatalf("bought %+v, %v, %v", bought, made, err)
		}
		if _, made, err := s.trade.Buy(t.Context(), requester, r, deal.Buying{Deposit: true}); err != nil || made {
			t.Errorf("again: %v, %v", made, err)
		}
		if _, _, err := s.follow(bought); err != nil {
			t.Error(err)
		}
		if own, paid := sent(requester)-own, sent(requester.Payer())-paid; own != 1 || paid != 1 {
			t.Errorf("the requester sent %d and the payer %d, want the deposit and the deal", own, paid)
		}

		other := s.request(nil)
		if cancelled, err := request.Cancel(t.Context(), s.trade.Chain, requester, other.RequestOrder); err != nil || !cancelled {
			t.Errorf("cancelled %v, %v", cancelled, err)
		}
		left, err := node.Remaining(t.Context(), s.trade.Chain, other.RequestOrder)
		if err != nil || left.Cmp(new(big.Int)) != 0 {
			t.Errorf("%v runs are left, %v", left, err)
		}
		if own, paid := sent(requester)-own, sent(requester.Payer())-paid; own != 1 || paid != 2 {
			t.Errorf("the requester sent %d and the payer %d, want the payer to close", own, paid)
		}
	})
}
