package request

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request/deal"
)

// Preflight looks at all that a request needs, before it is signed.
type Preflight struct {
	Trade   deal.Trade
	Service Service
	Deposit bool // what the stake lacks will be deposited
}

// Outlook is what a preflight found.
type Outlook struct {
	Match poco.Match // what the request would be matched with now
	Price *big.Int   // of all runs with that, in nRLC
	Most  *big.Int   // that the request allows for them

	MREnclave []byte // the app's enclave value
}

// Problem is something that a request lacks, and what would help.
type Problem struct{ What, Cure string }

// ProblemsError says why a request could not be served.
type ProblemsError struct {
	Problems []Problem
	Only     error // the typed error, when there is one problem that has one
	Chain    string
}

// Error implements error.
func (e *ProblemsError) Error() string {
	if len(e.Problems) == 1 {
		return "the request cannot be served: " + e.Problems[0].What
	}
	return fmt.Sprintf("the request cannot be served: %d problems", len(e.Problems))
}

// Unwrap returns the error of the only problem, if there is one.
func (e *ProblemsError) Unwrap() error { return e.Only }

// Evidence returns each problem with its cure.
func (e *ProblemsError) Evidence() [][2]string {
	var facts [][2]string
	for _, p := range e.Problems {
		facts = append(facts, [2]string{"problem", p.What}, [2]string{"cure", p.Cure})
	}
	return append(facts, [2]string{"where", e.Chain})
}

// problems collects what is wrong.
type problems struct {
	list []Problem
	errs []error // typed, of each or nil
}

func (p *problems) add(what, cure string, err error) {
	p.list, p.errs = append(p.list, Problem{what, cure}), append(p.errs, err)
}

// Check reports whether a request would be served, and with what, without signing
// anything. All problems are found at once: a *ProblemsError. Other errors are of services
// that cannot be asked: *node.RPCError, *market.Error, *ServiceError.
func (p Preflight) Check(ctx context.Context, o poco.RequestOrder) (Outlook, error) {
	var found problems
	out := Outlook{Most: o.MostPaid()}
	params, err := poco.ParseParams(o.Params)
	if err == nil {
		err = params.Check(o.Tag)
	}
	if err != nil {
		found.add(err.Error(), "correct --params", &OrderError{err.Error()})
	}
	steps := []func() error{
		func() error { return p.checkRegistered(ctx, o, &found, &out) },
		func() error { return p.checkMatch(ctx, o, &found, &out) },
		func() error { return p.checkStake(ctx, o, &found) },
		func() error { return p.checkSecrets(ctx, o, params, &found) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return out, err
		}
	}
	if len(found.list) == 0 {
		return out, nil
	}
	failed := &ProblemsError{Problems: found.list, Chain: p.Trade.Chain.Name}
	if len(found.errs) == 1 {
		failed.Only = found.errs[0]
	}
	return out, failed
}

// checkRegistered asks whether app and dataset are there, and what the app is.
func (p Preflight) checkRegistered(ctx context.Context, o poco.RequestOrder, found *problems, out *Outlook) error {
	c := p.Trade.Chain
	is, err := node.Call[bool](ctx, c, node.Contract{Address: c.AppRegistry, ABI: poco.RegistryABI()}, "isRegistered", o.App)
	if err != nil {
		return err
	}
	if !is {
		found.add(fmt.Sprintf("no app is registered at %s on %s", o.App, c.Name), "name the app's address on this chain (--app), or its chain (--chain)", nil)
	} else if out.MREnclave, err = node.Call[[]byte](ctx, c, node.Contract{Address: o.App, ABI: poco.AppABI()}, "m_appMREnclave"); err != nil {
		return err
	}
	if o.Dataset == (common.Address{}) {
		return nil
	}
	registry, err := node.Call[common.Address](ctx, c, c.HubContract(), "datasetregistry")
	if err != nil {
		return err
	}
	is, err = node.Call[bool](ctx, c, node.Contract{Address: registry, ABI: poco.RegistryABI()}, "isRegistered", o.Dataset)
	if err == nil && !is {
		found.add(fmt.Sprintf("no dataset is registered at %s on %s", o.Dataset, c.Name), "name the dataset's address on this chain (--dataset)", nil)
	}
	return err
}

// checkMatch looks for the orders that the request would be matched with.
func (p Preflight) checkMatch(ctx context.Context, o poco.RequestOrder, found *problems, out *Outlook) error {
	m, err := p.Trade.Choose(ctx, poco.SignedRequestOrder{RequestOrder: o})
	var none *deal.NoMatchError
	var ended *node.OrderError
	switch {
	case errors.As(err, &none):
		for _, l := range none.Lacks {
			found.add(l.What, cureOf(l), none)
		}
		return nil
	case errors.As(err, &ended) && ended.Hash == o.Hash(p.Trade.Chain.Domain()):
		found.add("this very request "+ended.Problem, "mrelease request show tells what became of it; for another run leave --same out", ended)
		return nil
	case errors.As(err, &ended):
		found.add(ended.Error(), "take another order, or none by its hash", ended)
		return nil
	case err != nil:
		return err
	}
	out.Match, out.Price = m, new(big.Int).Mul(m.RunPrice(), o.Volume)
	return nil
}

// cureOf says what helps against orders of a kind that cannot be used.
func cureOf(l deal.Lack) string {
	switch {
	case l.Of == deal.OfApp && l.Offers == 0:
		return "ask the app's owner to offer it; if you are the owner: mrelease release"
	case l.Of == deal.OfApp:
		return "change --tag or --app-max-price, or ask the app's owner for an order that you may use"
	case l.Of == deal.OfWorkerpool:
		return "change --category, --tag, --trust, --workerpool or --workerpool-max-price"
	case l.Of == deal.OfDataset:
		return "ask the dataset's owner for an order that you may use, or raise --dataset-max-price"
	}
	return "change --tag, --workerpool or the maximum prices, or ask the owners for orders that go together"
}

// checkStake compares the requester's stake with what all runs may cost.
func (p Preflight) checkStake(ctx context.Context, o poco.RequestOrder, found *problems) error {
	err := node.CheckStake(ctx, p.Trade.Chain, o.Requester, o.MostPaid())
	var low *node.StakeError
	if !errors.As(err, &low) {
		return err
	}
	switch {
	case low.Purse.Cmp(low.Missing()) < 0:
		found.add(fmt.Sprintf("%s, and the wallet has only %s nRLC outside of the hub", low, low.Purse), "get RLC, or lower the maximum prices", low)
	case !p.Deposit:
		found.add(low.Error(), "--deposit deposits it", low)
	}
	return nil
}

// checkSecrets asks the secret service for what a run would need of it.
func (p Preflight) checkSecrets(ctx context.Context, o poco.RequestOrder, params poco.Params, found *problems) error {
	type need struct {
		at         secret
		what, cure string
	}
	var needs []need
	if params.Encrypt {
		needs = append(needs, need{web2(o.Beneficiary, resultKey), "the secret service has no result key of the beneficiary " + o.Beneficiary.Hex(), "mrelease request key push"})
	}
	if params.Storage == "dropbox" {
		needs = append(needs, need{web2(o.Requester, dropboxToken), "the secret service has no Dropbox token of the requester " + o.Requester.Hex(), "push it with iExec's command line, or store the result on ipfs"})
	}
	if o.Dataset != (common.Address{}) && o.Tag.Has("tee") {
		needs = append(needs, need{web3(o.Dataset), "the secret service has no key of the dataset " + o.Dataset.Hex(), "ask the dataset's owner to push its key"})
	}
	for _, name := range params.Secrets {
		if err := CheckSecretName(name); err != nil {
			found.add(err.Error(), "correct the name in iexec_secrets", err)
			continue
		}
		needs = append(needs, need{requesters(o.Requester, name), "the secret service has no secret " + name + " of the requester " + o.Requester.Hex(), "mrelease request secret push " + name})
	}
	if len(needs) > 0 && p.Service.URL == "" {
		found.add("the run needs the secret service, and the chain's profile names none", "set chains.<name>.sms", nil)
		return nil
	}
	for _, n := range needs {
		there, err := p.Service.has(ctx, n.at)
		if err != nil {
			return err
		}
		if !there {
			found.add(n.what, n.cure, nil)
		}
	}
	return nil
}
