package requests

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
)

// wanted is what the flags of mrelease request order ask for.
type wanted struct {
	app, tag, params                  string
	dataset, workerpool               string // their addresses or names; "": none, and any
	beneficiary, callback             *common.Address
	appMax, datasetMax, workerpoolMax *big.Int
	volume, category, trust           *big.Int
	file                              string
	deposit, private, same            bool
}

// orderAnswer is the answer of mrelease request order --json.
type orderAnswer struct {
	Schema    string                  `json:"schema"`
	Hash      common.Hash             `json:"hash"`
	Chain     string                  `json:"chain"`
	File      string                  `json:"file"`
	Published bool                    `json:"published"` // it is in the market
	Price     string                  `json:"price"`     // of all runs with the orders of now, in nRLC
	Most      string                  `json:"most"`      // that is allowed for them
	Deposited string                  `json:"deposited"` // nRLC
	Order     poco.SignedRequestOrder `json:"order"`
}

func (s *shell) orderNew() *cobra.Command {
	var w wanted
	c := &cobra.Command{
		Use:   "order",
		Short: "Order runs of an app: look ahead, sign, publish",
		Long: `order makes a request for runs of an app. All that a run would need is looked at
before anything is signed, and all problems are told at once: the app and who sells it,
a workerpool that could run it, the dataset, the stake, keys and secrets. The request is
written to a file, signed by the wallet, whose password is in MRELEASE_WALLET_PASSWORD,
published, and read back. With --private it is only written: nobody else can match it.

Each request is another one, unless --same asks for the one that the same words always
make. Prices are in nRLC (1 RLC = 10^9 nRLC).

--params is what the run is to do: for an app of 2019 a text, its command; for one of
today, whose tag names a framework, an object with the arguments to its own command.

Exit codes: 0 ordered; 2 what was given is no request, or its file is there; 14 it could
not be served; 23 the stake is too low.`,
		Example: `  mrelease request order --app 0x… --tag 0x3 --params '{"iexec_args":"a b","iexec_result_encryption":true}' --workerpool-max-price 100 --deposit
  mrelease request order --app dist/record.json --tag tee --params "python3 /app/app.py" --workerpool-max-price 100 --file request.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.order(c.Context(), c.CommandPath(), w) },
	}
	s.flags(c)
	f := c.Flags()
	f.StringVar(&w.app, "app", "", "the app: its address, its name where the chain has ENS, or the file of its record")
	f.Var(contract{&w.dataset}, "dataset", "dataset that the run is given: its `address`, or its name where the chain has ENS")
	f.Var(contract{&w.workerpool}, "workerpool", "workerpool, or group of them, that may run it: its `address`, or its name where the chain has ENS; any when it is not set")
	w.beneficiary, w.callback = addressFlag(c, "beneficiary", "whose result it is; the wallet's when it is not set"), addressFlag(c, "callback", "contract that is called with the result")
	w.appMax = amountFlag(c, "app-max-price", 0, "the most that the app may cost, in nRLC per run")
	w.datasetMax = amountFlag(c, "dataset-max-price", 0, "the most that the dataset may cost, in nRLC per run")
	w.workerpoolMax = amountFlag(c, "workerpool-max-price", 0, "the most that the workerpool may cost, in nRLC per run")
	w.volume = amountFlag(c, "volume", 1, fmt.Sprintf("number of runs, at most %d", bounds.Runs))
	w.category = amountFlag(c, "category", 0, "how long a run may take: 0 (5 min), 1 (20 min), 2 (1 h), 3 (3 h), 4 (10 h)")
	w.trust = amountFlag(c, "trust", 0, "how many workers have to agree, as the contracts count it")
	f.StringVar(&w.tag, "tag", "tee", "what a run needs: 0x and hex digits, or names of bits")
	_ = c.RegisterFlagCompletionFunc("tag", cobra.FixedCompletions(poco.TagNames(), cobra.ShellCompDirectiveNoFileComp)) // there is such a flag
	f.StringVar(&w.params, "params", "", "what the run is to do: the JSON object of iExec's SDK, or a text")
	f.StringVar(&w.file, "file", "request.json", "new file that the request is written to")
	f.BoolVar(&w.deposit, "deposit", false, "deposit what the stake lacks")
	f.BoolVar(&w.private, "private", false, "do not publish it: write the file only")
	f.BoolVar(&w.same, "same", false, "make the same request for the same words each time")
	return c
}

// check looks at what the command line says, and at this machine's files, before anybody is
// asked, and returns the tag.
func (w wanted) check(command string, p place) (poco.Tag, error) {
	if w.app == "" {
		return poco.Tag{}, usage.Errorf(command, "want --app, an address, a name or a record")
	}
	if w.volume.Sign() == 0 || w.volume.Cmp(big.NewInt(bounds.Runs)) > 0 {
		return poco.Tag{}, usage.Errorf(command, "--volume must be from 1 to %d", bounds.Runs)
	}
	tag, err := poco.ParseTag(w.tag)
	if err != nil {
		return tag, usage.Errorf(command, "--tag: %v", err)
	}
	if err := request.CheckParams(w.params, tag); err != nil {
		return tag, err
	}
	for _, named := range []string{w.dataset, w.workerpool} {
		if err := request.CheckName(p.profile, named); err != nil {
			return tag, err
		}
	}
	if !w.same { // which may find its file
		if err := request.CheckNew(w.file); err != nil {
			return tag, err
		}
	}
	return tag, request.CheckApp(p.profile, w.app)
}

// request makes the order that is asked for, without its salt.
func (w wanted) request(ctx context.Context, p place, requester common.Address, tag poco.Tag) (poco.RequestOrder, error) {
	app, err := request.FindApp(ctx, p.trade.Chain, w.app)
	if err != nil {
		return poco.RequestOrder{}, err
	}
	dataset, err := request.FindContract(ctx, p.trade.Chain, w.dataset)
	if err != nil {
		return poco.RequestOrder{}, err
	}
	workerpool, err := request.FindContract(ctx, p.trade.Chain, w.workerpool)
	if err != nil {
		return poco.RequestOrder{}, err
	}
	beneficiary := *w.beneficiary
	if beneficiary == (common.Address{}) {
		beneficiary = requester
	}
	o := poco.RequestOrder{
		App: app, AppMaxPrice: w.appMax, Dataset: dataset, DatasetMaxPrice: w.datasetMax, Workerpool: workerpool, WorkerpoolMaxPrice: w.workerpoolMax,
		Requester: requester, Volume: w.volume, Tag: tag, Category: w.category, Trust: w.trust,
		Beneficiary: beneficiary, Callback: *w.callback, Params: w.params,
	}
	if w.same {
		unsalted := o.Hash(p.domain())
		o.Salt = crypto.Keccak256Hash([]byte("mrelease requestorder v1"), unsalted[:])
	}
	return o, nil
}

// order makes a request: look, sign, write, publish.
func (s *shell) order(ctx context.Context, command string, w wanted) error {
	p, err := s.place(command)
	if err != nil {
		return err
	}
	tag, err := w.check(command, p)
	if err != nil {
		return err
	}
	doubt := poco.DoubtParams(w.params, tag, nil)
	if doubt != "" {
		s.Note("%s", doubt)
	}
	wallet, err := s.ring(p.settings).OpenWallet(ctx)
	if err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	o, err := w.request(ctx, p, wallet.Address, tag)
	if err != nil {
		return err
	}
	s.tellFound(w, o)
	ahead := request.Preflight{Trade: p.trade, Service: request.Service{URL: p.profile.SMS, Tell: s.tell}, Deposit: w.deposit}
	out, err := ahead.Check(ctx, o)
	if later := poco.DoubtParams(w.params, tag, out.MREnclave); later != doubt {
		s.Note("%s", later)
	}
	if err != nil {
		return err
	}
	s.tellMatch("would be matched with", out.Match, p)
	s.Note("%s for %s nRLC now, and for %s at most", runs(o.Volume), out.Price, out.Most)
	signed, err := request.SignOrder(ctx, wallet, p.domain(), o)
	if err != nil {
		return err
	}
	if err := s.keep(w, p, &signed); err != nil {
		return err
	}
	answer := orderAnswer{"mrelease.request-order-new/v1", signed.Hash(p.domain()), p.profile.Name, w.file, false, out.Price.String(), out.Most.String(), "0", signed}
	if w.deposit {
		deposited, err := node.EnsureStake(ctx, p.trade.Chain, wallet, out.Most)
		if err != nil {
			return err
		}
		answer.Deposited = deposited.String()
		s.tellDeposit(deposited)
	}
	if !w.private {
		published, err := request.Publish(ctx, p.trade.Market, wallet, p.domain(), signed)
		if err != nil {
			return &requestError{err}
		}
		answer.Published = true
		if !published {
			s.Note("it was published already")
		}
	}
	s.Note("next: mrelease request run %s", w.file)
	return s.answer(answer, answer.Hash.Hex())
}

// tellFound tells of what was not named by its address which one it is.
func (s *shell) tellFound(w wanted, o poco.RequestOrder) {
	if new(common.Address).UnmarshalText([]byte(w.app)) != nil {
		s.Note("%s is the app %s", w.app, o.App)
	}
	if poco.IsENSName(w.dataset) {
		s.Note("%s is the dataset %s", w.dataset, o.Dataset)
	}
	if poco.IsENSName(w.workerpool) {
		s.Note("%s is the workerpool %s", w.workerpool, o.Workerpool)
	}
}

// keep writes the request to its file. With --same the file may be there, if it has the
// same request, which is then the one that counts.
func (s *shell) keep(w wanted, p place, o *poco.SignedRequestOrder) error {
	err := request.WriteOrder(w.file, p.domain(), *o)
	var file *request.FileError
	if !w.same || !errors.As(err, &file) {
		return err
	}
	there, reading := request.ReadOrder(w.file, p.domain())
	if reading != nil || there.Hash(p.domain()) != o.Hash(p.domain()) {
		return err
	}
	*o = there
	return nil
}

// tellMatch tells which orders a request is matched with.
func (s *shell) tellMatch(verb string, m poco.Match, p place) {
	d := p.domain()
	s.Note("%s:", verb)
	s.Note("  app         %s  %s nRLC  order %s", m.App.App, m.App.AppPrice, m.App.Hash(d))
	if m.Dataset.Dataset != (common.Address{}) {
		s.Note("  dataset     %s  %s nRLC  order %s", m.Dataset.Dataset, m.Dataset.DatasetPrice, m.Dataset.Hash(d))
	}
	s.Note("  workerpool  %s  %s nRLC  order %s", m.Workerpool.Workerpool, m.Workerpool.WorkerpoolPrice, m.Workerpool.Hash(d))
}

func (s *shell) tellDeposit(nRLC *big.Int) {
	if nRLC.Sign() > 0 {
		s.Note("deposited: %s nRLC", nRLC)
	}
}

// cancelAnswer is the answer of mrelease request cancel --json.
type cancelAnswer struct {
	Schema    string      `json:"schema"`
	Hash      common.Hash `json:"hash"`
	Chain     string      `json:"chain"`
	Cancelled bool        `json:"cancelled"` // by this call; else there were no runs left
}

func (s *shell) orderCancel() *cobra.Command {
	c := &cobra.Command{
		Use:   "cancel FILE|HASH",
		Short: "Close a request on chain, for good",
		Long: `cancel closes what is left of a request on chain: nobody can match it any more,
wherever it is kept. Deals that were made of it go on. It is named by its file, or by its
hash in the market.

Exit codes: 0 nothing of it is left to match; 2 the file is no request of this chain; 14
the market has no such request; 23 the wallet cannot pay the fee.`,
		Example: "  mrelease request cancel request.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := s.place(c.CommandPath())
			if err != nil {
				return err
			}
			o, err := p.order(c.Context(), args[0])
			if err != nil {
				return err
			}
			wallet, err := s.ring(p.settings).OpenWallet(c.Context())
			if err != nil {
				return err
			}
			if err := p.connect(c.Context()); err != nil {
				return err
			}
			cancelled, err := request.Cancel(c.Context(), p.trade.Chain, wallet, o.RequestOrder)
			if err != nil {
				return err
			}
			if cancelled {
				s.Note("cancelled on %s", p.profile.Name)
			} else {
				s.Note("it has no runs left: it was matched or cancelled before")
			}
			hash := o.Hash(p.domain())
			return s.answer(cancelAnswer{"mrelease.request-cancel/v1", hash, p.profile.Name, cancelled}, hash.Hex())
		},
	}
	s.flags(c)
	return c
}

// showAnswer is the answer of mrelease request show --json.
type showAnswer struct {
	Schema string                  `json:"schema"`
	Hash   common.Hash             `json:"hash"`
	Chain  string                  `json:"chain"`
	Market market.Status           `json:"market"` // "" when the market does not have it
	Left   string                  `json:"left"`   // runs that are not sold, on chain
	Order  poco.SignedRequestOrder `json:"order"`
	Deals  []dealAnswer            `json:"deals"`
}

func (s *shell) orderShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE|HASH",
		Short: "Say what became of a request: in the market, on chain, its deals and tasks",
		Long: `show tells of a request what market and chain say, and of its deals and tasks how far
they are. It is named by its file, or by its hash in the market. It needs no password.

Exit codes: 0 told, whatever became of it; 2 the file is no request of this chain; 14 the
market has no such request.`,
		Example: "  mrelease request show request.json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return s.show(c.Context(), c.CommandPath(), args[0]) },
	}
	s.flags(c)
	return c
}

func (s *shell) show(ctx context.Context, command, named string) error {
	p, err := s.place(command)
	if err != nil {
		return err
	}
	o, err := p.order(ctx, named)
	if err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	hash := o.Hash(p.domain())
	consumed, err := node.Consumed(ctx, p.trade.Chain, hash)
	if err != nil {
		return err
	}
	answer := showAnswer{Schema: "mrelease.request/v1", Hash: hash, Chain: p.profile.Name, Left: new(big.Int).Sub(o.Volume, consumed).String(), Order: o, Deals: []dealAnswer{}}
	there, err := market.Find[poco.SignedRequestOrder](ctx, p.trade.Market, hash)
	if err != nil {
		return err
	}
	if there != nil {
		answer.Market = there.Status
	}
	deals, err := deal.OfRequest(ctx, p.trade.Chain, o.RequestOrder)
	if err != nil {
		return err
	}
	s.Note("app %s, %s of %s left, in the market: %s", o.App, answer.Left, runs(o.Volume), either(string(answer.Market), "no"))
	for _, d := range deals {
		tasks, err := deal.Tasks(ctx, p.trade.Chain, d)
		if err != nil {
			return err
		}
		answer.Deals = append(answer.Deals, s.tellDeal(d, tasks))
	}
	return s.answer(answer, hash.Hex())
}

func either(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
