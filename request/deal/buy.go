package deal

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// stakeRatio is how many percent of its price a workerpool's owner must have in the hub,
// for each run: WORKERPOOL_STAKE_RATIO.
const stakeRatio = 30

// Choose returns the best match of a request: the lowest price of all that the market
// offers, of equal ones that with the lowest hashes. All runs of the request that are left
// are bought by one deal. Orders that the market still lists and that the chain knows to
// have ended, and those of workerpools that cannot pay their own stake, are passed over.
//
// Errors: *NoMatchError, *node.OrderError when the request itself has no runs left,
// *TooManyError when it has more than a deal may, *market.Error, *node.RPCError.
func (t Trade) Choose(ctx context.Context, request poco.SignedRequestOrder) (poco.Match, error) {
	runs, err := t.runsLeft(ctx, request)
	if err != nil {
		return poco.Match{}, err
	}
	offers, err := t.Offers(ctx, request.RequestOrder)
	if err != nil {
		return poco.Match{}, err
	}
	s := t.search(ctx, request, runs)
	for range maxLooks {
		m, err := s.best(offers)
		if err != nil {
			return poco.Match{}, err
		}
		excluded := len(s.excluded)
		if err := s.exclude(m); err != nil {
			return poco.Match{}, err
		}
		if len(s.excluded) == excluded {
			return m, nil
		}
	}
	return poco.Match{}, &bounds.Error{Where: s.where, What: "the number of orders that are listed as open and cannot be used", Most: fmt.Sprint(maxLooks)}
}

// maxLooks bounds how many matches the chain is asked about that turn out to be none.
const maxLooks = 100

// runsLeft asks how many runs of a request are not sold yet. What nobody here could follow
// is not bought.
func (t Trade) runsLeft(ctx context.Context, r poco.SignedRequestOrder) (*big.Int, error) {
	hash := r.Hash(t.Chain.Domain())
	consumed, err := node.Consumed(ctx, t.Chain, hash)
	if err != nil {
		return nil, err
	}
	left := new(big.Int).Sub(r.Volume, consumed)
	if left.Sign() <= 0 {
		return nil, &node.OrderError{
			Hash: hash, State: node.Spent, Problem: "has no runs left on chain: it was matched or cancelled",
			Got: "consumed " + consumed.String(), Want: "less than " + r.Volume.String(), Where: t.Chain.Name,
		}
	}
	if left.Cmp(big.NewInt(bounds.Runs)) > 0 {
		return nil, tooMany("runs of request "+hash.Hex()+", which are bought by one deal", bounds.Runs, left)
	}
	return left, nil
}

// exclude looks at the orders of a match on the chain, and excludes those that cannot be
// used whatever they are matched with.
func (s *search) exclude(m poco.Match) error {
	d := s.chain.Domain()
	w := listed{m.Workerpool.Hash(d), m.Workerpool.Volume, m.Workerpool.Workerpool, m.Workerpool.Sign, false}
	orders := []listed{{m.App.Hash(d), m.App.Volume, m.App.App, m.App.Sign, s.private}, w}
	if m.Dataset.Dataset != (common.Address{}) {
		orders = append(orders, listed{m.Dataset.Hash(d), m.Dataset.Volume, m.Dataset.Dataset, m.Dataset.Sign, false})
	}
	for _, o := range orders {
		if s.good[o.hash] {
			continue
		}
		why, err := s.flaw(o)
		if err == nil && why == "" && o.hash == w.hash {
			why, err = s.poverty(m.Workerpool)
		}
		if err != nil {
			return err
		}
		if s.good[o.hash] = why == ""; why != "" {
			s.excluded[o.hash] = why
		}
	}
	return nil
}

// listed is an order of whatever kind that a market lists.
type listed struct {
	hash   common.Hash
	volume *big.Int
	sells  common.Address // the app's, dataset's or workerpool's contract
	sign   []byte
	own    bool // the caller's, who signs it
}

// flaw says what the chain has against an order; "" for nothing. A market that lists what
// nobody signed must not get anybody to pay for it, and be it into the own stake.
func (s *search) flaw(o listed) (why string, err error) {
	consumed, err := node.Consumed(s.ctx, s.chain, o.hash)
	if err != nil {
		return "", err
	}
	if left := new(big.Int).Sub(o.volume, consumed); left.Cmp(s.runs) < 0 {
		return fmt.Sprintf("has fewer runs left on chain than are wanted (%s)", s.runs), nil
	}
	if o.own {
		return "", nil
	}
	owner, err := s.ownerOf(o.sells)
	if failed := new(node.RPCError); errors.As(err, &failed) && failed.IsRevert() {
		return "what it sells is not on chain", nil
	}
	if err != nil {
		return "", err
	}
	is, err := node.IsOf(s.ctx, s.chain, o.hash, o.sign, owner)
	if err == nil && !is {
		why = "is not signed by the owner of what it sells"
	}
	return why, err
}

func (s *search) ownerOf(contract common.Address) (common.Address, error) {
	return node.Call[common.Address](s.ctx, s.chain, node.Contract{Address: contract, ABI: poco.AppABI()}, "owner") // which all have
}

// poverty says that a workerpool's owner has too little in the hub.
func (s *search) poverty(w poco.SignedWorkerpoolOrder) (why string, err error) {
	owner, err := s.ownerOf(w.Workerpool)
	if err != nil {
		return "", err
	}
	stake, err := node.StakeOf(s.ctx, s.chain, owner)
	if err != nil {
		return "", err
	}
	want := new(big.Int).Mul(w.WorkerpoolPrice, big.NewInt(stakeRatio))
	want.Div(want, big.NewInt(100)).Mul(want, s.runs)
	if stake.Free.Cmp(want) < 0 {
		why = "the workerpool's owner cannot pay the stake for it"
	}
	return why, nil
}

// Price returns what the runs of a request that are left cost with a match, in nRLC.
// Errors: as of [Trade.Choose].
func (t Trade) Price(ctx context.Context, m poco.Match) (*big.Int, error) {
	runs, err := t.runsLeft(ctx, m.Request)
	if err != nil {
		return nil, err
	}
	return runs.Mul(runs, m.RunPrice()), nil
}

// RefusedError says that the hub refuses to make a deal of a match.
type RefusedError struct {
	Refusal poco.Refusal // "" for one without a number
	Reason  string       // the node's words
	Match   poco.Match
	Chain   string
	Err     error
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Refusal == "" {
		return "the hub refuses the match: " + e.Reason
	}
	return "the hub refuses the match: " + e.Refusal.Words()
}

// Unwrap returns the node's error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Evidence returns the hub's words.
func (e *RefusedError) Evidence() [][2]string {
	return [][2]string{{"expected", "matchOrders makes a deal"}, {"actual", e.Reason}, {"where", e.Chain}}
}

// Simulate asks the node what deal matchOrders would make, without making it. Errors:
// *RefusedError, *node.RPCError.
func (t Trade) Simulate(ctx context.Context, m poco.Match) (common.Hash, error) {
	id, err := node.Call[[32]byte](ctx, t.Chain, t.Chain.HubContract(), "matchOrders", m.Arguments()...)
	return id, t.refused(m, err)
}

// refused tells a revert from a node that failed.
func (t Trade) refused(m poco.Match, err error) error {
	var failed *node.RPCError
	if !errors.As(err, &failed) || !failed.IsRevert() {
		return err
	}
	reason := failed.Err.Error()
	return &RefusedError{poco.ParseRefusal(reason), reason, m, t.Chain.Name, err}
}

// Buying says how a deal is bought.
type Buying struct {
	Deposit bool // what the stake lacks is deposited; else that is an error
	// Tell is told of the match before it is paid for, and of what was deposited; it may
	// be nil.
	Tell func(m poco.Match, deposited *big.Int)
}

// tries is how often a match is looked for anew when another buyer was faster.
const tries = 5

// Buy makes a deal of a request, or finds the one that was made of it: then made is
// false, and nothing is paid. Before it is sent, a match is simulated. When an order of it
// was used up in between, another match is looked for.
//
// Errors: *NoMatchError, *RefusedError, *node.StakeError, *node.OrderError for a request
// that was cancelled, *node.FundsError, *market.Error, *node.RPCError.
func (t Trade) Buy(ctx context.Context, w node.Wallet, request poco.SignedRequestOrder, b Buying) (deal Deal, made bool, err error) {
	if deal, err = t.bought(ctx, w, request); err == nil || !isNoDeal(err) {
		return deal, false, err
	}
	for range tries {
		if deal, made, err = t.buy(ctx, w, request, b); err == nil {
			return deal, made, nil
		}
		// What a run before sent may have come to a block since it was looked for.
		if there, looking := t.bought(ctx, w, request); looking == nil {
			return there, false, nil
		}
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Refusal != usedUp {
			return deal, made, err
		}
	}
	return deal, made, err
}

// usedUp is the refusal of orders that have no runs left.
const usedUp = poco.Refusal("60")

// bought returns the last deal of a request, once the wallet's transactions are in blocks:
// a run before may have sent the one that makes it. A *NoDealError says that there is none.
func (t Trade) bought(ctx context.Context, w node.Wallet, r poco.SignedRequestOrder) (Deal, error) {
	for {
		deals, err := OfRequest(ctx, t.Chain, r.RequestOrder)
		if err != nil {
			return Deal{}, err
		}
		if len(deals) > 0 {
			return deals[len(deals)-1], nil
		}
		waited, err := t.Chain.Settle(ctx, w.Payer().Address)
		if err != nil {
			return Deal{}, err
		}
		if !waited {
			return Deal{}, &NoDealError{idOf(r.Hash(t.Chain.Domain()), 0), t.Chain.Name}
		}
	}
}

func isNoDeal(err error) bool {
	var none *NoDealError
	return errors.As(err, &none)
}

// checkSigned makes sure that a request is its requester's, before anything is deposited for
// it: its file may be somebody else's work.
func (t Trade) checkSigned(ctx context.Context, r poco.SignedRequestOrder) error {
	hash := r.Hash(t.Chain.Domain())
	is, err := node.IsOf(ctx, t.Chain, hash, r.Sign, r.Requester)
	if err != nil || is {
		return err
	}
	m := poco.Match{Request: r}
	return &RefusedError{"50", fmt.Sprintf("the signature 0x%x of request %s is none of %s", r.Sign, hash, r.Requester), m, t.Chain.Name, nil}
}

func (t Trade) buy(ctx context.Context, w node.Wallet, request poco.SignedRequestOrder, b Buying) (Deal, bool, error) {
	m, err := t.Choose(ctx, request)
	if err != nil {
		return Deal{}, false, err
	}
	price, err := t.Price(ctx, m)
	if err != nil {
		return Deal{}, false, err
	}
	if err := t.checkSigned(ctx, request); err != nil {
		return Deal{}, false, err
	}
	deposited := new(big.Int)
	if b.Deposit {
		deposited, err = node.EnsureStake(ctx, t.Chain, w, price)
	} else {
		err = node.CheckStake(ctx, t.Chain, request.Requester, price)
	}
	if err != nil {
		return Deal{}, false, err
	}
	if _, err := t.Simulate(ctx, m); err != nil {
		return Deal{}, false, err
	}
	if b.Tell != nil {
		b.Tell(m, deposited)
	}
	_, sending := t.Chain.Send(ctx, w, t.Chain.HubContract(), "matchOrders", m.Arguments()...)
	// The answer may be lost, and a parallel run may have been faster: what counts is
	// what the chain has.
	deal, err := t.bought(ctx, w, request)
	if sending != nil && isNoDeal(err) {
		err = fmt.Errorf("making deal: %w", t.refused(m, sending))
	}
	return deal, sending == nil && err == nil, err
}
