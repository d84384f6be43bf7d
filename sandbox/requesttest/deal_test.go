package requesttest

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// follow waits for a deal's tasks, and returns the stages that were told.
func (s *side) follow(d deal.Deal) ([]deal.Task, []deal.Stage, error) {
	var stages []deal.Stage
	tasks, err := deal.Follow(s.t.Context(), s.trade.Chain, d, deal.Following{Every: 10 * time.Millisecond, Tell: func(e deal.Event) {
		if stages = append(stages, e.Task.Stage); e.Left <= 0 {
			s.t.Errorf("no time is left in %+v", e)
		}
	}})
	return tasks, stages, err
}

// A run is bought once, for the lowest price, and what it costs is deposited once.
func TestBuy(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 5, Volume: 10, Tag: poco.TEE()})
		s.sell(orders.Terms{Price: 4, Volume: 10, Tag: poco.TEE()})
		s.sell(orders.Terms{Price: 3, Volume: 10, Tag: poco.TEE(), RequesterRestrict: s.owner.Address})
		s.sell(orders.Terms{Price: 2, Volume: 10})
		r := s.request(nil)

		_, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{})
		var low *node.StakeError
		if !errors.As(err, &low) || low.Missing().Int64() != 104 || low.Purse.Sign() <= 0 {
			t.Fatalf("without a stake: %v", err)
		}
		if _, err := node.EnsureStake(t.Context(), s.trade.Chain, s.requester, big.NewInt(103)); err != nil {
			t.Fatal(err)
		}
		_, _, err = s.trade.Buy(t.Context(), s.requester, r, deal.Buying{})
		if !errors.As(err, &low) || low.Missing().Int64() != 1 {
			t.Fatalf("a stake too low by 1 nRLC: %v", err)
		}

		var told []string
		bought, made, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true, Tell: func(m poco.Match, deposited *big.Int) {
			told = append(told, m.App.AppPrice.String(), m.Workerpool.WorkerpoolPrice.String(), deposited.String())
		}})
		if err != nil || !made || strings.Join(told, " ") != "4 100 1" || bought.App.Pointer != s.app || bought.Requester != s.requester.Address || bought.Size != 1 {
			t.Fatalf("bought %+v, %v, %v (%v)", bought, made, told, err)
		}
		tasks, stages, err := s.follow(bought)
		if err != nil || len(tasks) != 1 || tasks[0].Digest != (common.Hash{1}) || stages[len(stages)-1] != deal.Completed {
			t.Errorf("tasks %+v by %v, %v", tasks, stages, err)
		}
		where, err := tasks[0].Location()
		if err != nil || where.Place != "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o" {
			t.Errorf("location %+v, %v", where, err)
		}
		if free, locked := s.stake(); free != 0 || locked != 0 {
			t.Errorf("the stake is %d and %d", free, locked)
		}

		again, made, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
		if err != nil || made || again.ID != bought.ID {
			t.Errorf("again: %+v, %v, %v", again, made, err)
		}
		if free, locked := s.stake(); free != 0 || locked != 0 {
			t.Errorf("again: the stake is %d and %d", free, locked)
		}
	})
}

// Whatever happens to the transaction that makes the deal, there is one.
func TestBuyOnce(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 4, Volume: 100, Tag: poco.TEE()})
		for name, rule := range map[string]fault.Rule{
			"the answer is lost":             {Match: "eth_sendRawTransaction", Drop: true, After: true},
			"node gone after it took it":     {Match: "eth_sendRawTransaction", Drop: true, After: true, Times: 9},
			"the receipt is lost for a time": {Match: "eth_getTransactionReceipt", Status: 500, Times: 3},
			"it is lost on the way":          {Match: "eth_sendRawTransaction", Drop: true, Times: 9},
		} {
			if rule.Times == 9 && s.chain.ID == s.world.V5.ID { // it takes seconds, and is the same
				continue
			}
			if _, err := node.EnsureStake(t.Context(), s.trade.Chain, s.requester, big.NewInt(104)); err != nil {
				t.Fatal(err)
			}
			r := s.request(nil)
			rule.Service = s.rpc()
			s.fault(rule)
			if rule.Times == 9 && rule.After { // and it stays so
				s.fault(fault.Rule{Service: s.rpc(), Status: 500, Times: 30})
			}
			first, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{})
			s.world.Faults.Clear()
			second, _, secondErr := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
			if secondErr != nil || err == nil && first.ID != second.ID {
				t.Errorf("%s: %s (%v), then %s (%v)", name, first.ID, err, second.ID, secondErr)
			}
			deals, err := deal.OfRequest(t.Context(), s.trade.Chain, r.RequestOrder)
			if err != nil || len(deals) != 1 || deals[0].ID != second.ID {
				t.Errorf("%s: deals %+v, %v", name, deals, err)
			}
			if _, _, err := s.follow(second); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if free, locked := s.stake(); free != 0 || locked != 0 {
				t.Errorf("%s: the stake is %d and %d", name, free, locked)
			}
		}
	})
}
