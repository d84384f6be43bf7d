package requests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
)

// dealAnswer is a deal in an answer.
type dealAnswer struct {
	ID       common.Hash    `json:"id"`
	App      common.Address `json:"app"`
	Pool     common.Address `json:"workerpool"`
	Price    string         `json:"price"` // per run, in nRLC
	Deadline time.Time      `json:"deadline"`
	Tasks    []taskAnswer   `json:"tasks"`
}

// taskAnswer is a task in an answer.
type taskAnswer struct {
	ID     common.Hash   `json:"id"`
	Index  uint64        `json:"index"`
	Stage  deal.Stage    `json:"stage"`
	Digest common.Hash   `json:"digest"` // of the result; zero before there is one
	Result *fetchedShown `json:"result,omitempty"`
}

// fetchedShown is a result that was fetched, in an answer.
type fetchedShown struct {
	Folder   string        `json:"folder"`
	Location string        `json:"location"`
	Gateway  string        `json:"gateway"`           // "" when its folder was there
	Size     int64         `json:"size"`              // of what was downloaded
	Address  string        `json:"address"`           // "checked", or why the bytes could not be compared with it
	Chain    string        `json:"chain"`             // "checked", or why the result could not be compared with the chain's digest
	Archive  string        `json:"archive,omitempty"` // the result as it came, when there was no key
	Format   result.Format `json:"format"`
	Files    []result.File `json:"files"`
	Before   bool          `json:"before,omitempty"` // fetched by an earlier call; address and chain say what of it this one compared
}

func answerOf(d deal.Deal, tasks []deal.Task) dealAnswer {
	price := new(big.Int).Add(d.App.Price, d.Dataset.Price)
	a := dealAnswer{d.ID, d.App.Pointer, d.Workerpool.Pointer, price.Add(price, d.Workerpool.Price).String(), d.Deadline, []taskAnswer{}}
	for _, t := range tasks {
		a.Tasks = append(a.Tasks, taskAnswer{ID: t.ID, Index: t.Index, Stage: t.Stage, Digest: t.Digest})
	}
	return a
}

// tellDeal tells of a deal, and how far its tasks are.
func (s *shell) tellDeal(d deal.Deal, tasks []deal.Task) dealAnswer {
	s.Note("deal %s, deadline %s", d.ID, d.Deadline.Format(time.RFC3339))
	for _, t := range tasks {
		s.Note("  task %s: %s", t.ID, t.Stage)
	}
	return answerOf(d, tasks)
}

// fetching is what the flags say of where results go.
type fetching struct {
	folder, key string
	gateways    []string
	limit       *int64 // bytes
}

func (s *shell) fetchFlags(c *cobra.Command) *fetching {
	f := &fetching{}
	s.folderFlag(c)
	c.Flags().StringVar(&f.key, "key", "", "private key of the beneficiary, in PEM; else the one of --folder")
	c.Flags().StringVar(&f.folder, "to", "", "new folder that the result is written to")
	_ = c.MarkFlagDirname("to")
	c.Flags().StringArrayVar(&f.gateways, "gateway", nil, "URL of an IPFS gateway, again for others to try (overrides chains.<name>.gateway)")
	f.limit = limitFlag(c)
	return f
}

// runAnswer is the answer of mrelease request run --json, and of result get.
type runAnswer struct {
	Schema string `json:"schema"`
	Chain  string `json:"chain"`
	Made   bool   `json:"made"` // the deal, by this call
	dealAnswer
}

// running is what the flags of mrelease request run ask for.
type running struct {
	deal                     string
	app, dataset, workerpool string // hashes of orders
	deposit                  bool
	*fetching
}

func (s *shell) run() *cobra.Command {
	var r running
	c := &cobra.Command{
		Use:   "run FILE|HASH",
		Short: "Buy the runs of a request, follow them, and fetch the results",
		Long: `run matches a request, named by its file or by its hash in the market, with the
cheapest orders that fit, and makes a deal on chain. It is simulated first, and what the
stake lacks is deposited with --deposit only. Then the tasks are followed, and with --to
their results are downloaded, compared with what the chain has of them, and decrypted
with the beneficiary's key.

One request, one deal: run again after whatever went wrong, it finds the deal that was
made, and goes on; results that came whole are not downloaded again. With --deal it goes
on with any deal.

Exit codes: 0 all tasks completed; 14 no orders match; 16 a result is not what the chain
has the digest of, or refused; 18 a task ended without a result (mrelease request claim
brings back what was paid); 23 the stake is too low.`,
		Example: "  mrelease request run request.json --deposit --to result\n  mrelease request run --deal 0x… --to result",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == (r.deal != "") {
				return usage.Errorf(c.CommandPath(), "want a request (a file, or its hash), or --deal")
			}
			if len(args) == 1 {
				return s.runRequest(c.Context(), c.CommandPath(), args[0], r)
			}
			return s.runDeal(c.Context(), c.CommandPath(), r)
		},
	}
	s.flags(c)
	r.fetching = s.fetchFlags(c)
	c.Flags().StringVar(&r.deal, "deal", "", "id of a deal to go on with")
	c.Flags().StringVar(&r.app, "app-order", "", "hash of the app's order to take; the cheapest when it is not set")
	c.Flags().StringVar(&r.dataset, "dataset-order", "", "hash of the dataset's order to take")
	c.Flags().StringVar(&r.workerpool, "workerpool-order", "", "hash of the workerpool's order to take")
	c.Flags().BoolVar(&r.deposit, "deposit", false, "deposit what the stake lacks")
	return c
}

// pick reads which orders are to be taken.
func (r running) pick(command string) (p deal.Pick, err error) {
	for flag, f := range map[string]struct {
		text string
		into *common.Hash
	}{"app-order": {r.app, &p.App}, "dataset-order": {r.dataset, &p.Dataset}, "workerpool-order": {r.workerpool, &p.Workerpool}} {
		if *f.into, err = parseHash(command, flag, f.text); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s *shell) runRequest(ctx context.Context, command, named string, r running) error {
	p, err := s.place(command)
	if err != nil {
		return err
	}
	if p.trade.Pick, err = r.pick(command); err != nil {
		return err
	}
	fetch, err := s.fetch(command, p, r.fetching)
	if err != nil {
		return err
	}
	o, err := p.order(ctx, named)
	if err != nil {
		return err
	}
	wallet, err := s.ring(p.settings).OpenWallet(ctx)
	if err != nil {
		return err
	}
	if wallet.Address != o.Requester {
		return usage.Errorf(command, "the request is of %s, and the wallet is %s", o.Requester, wallet.Address)
	}
	if err := s.unlock(fetch, o.Beneficiary); err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	if err := p.checkFolder(ctx, o, fetch); err != nil {
		return err
	}
	d, made, err := p.trade.Buy(ctx, wallet, o, deal.Buying{Deposit: r.deposit, Tell: func(m poco.Match, deposited *big.Int) {
		s.tellDeposit(deposited)
		s.tellMatch("matching with", m, p)
	}})
	if err != nil {
		return &requestError{err}
	}
	if !made {
		s.Note("the deal was made before: nothing is paid")
	}
	return s.follow(ctx, p, d, made, fetch)
}

// checkFolder makes sure, before anything is bought, that nothing is in the place of the
// results. What was bought before may have its results there: they are looked at then.
func (p place) checkFolder(ctx context.Context, o poco.SignedRequestOrder, fetch *request.Fetching) error {
	if fetch == nil {
		return nil
	}
	taken := fetch.CheckFree()
	if taken == nil || !usage.Is[*result.ExistsError](taken) {
		return taken
	}
	deals, err := deal.OfRequest(ctx, p.trade.Chain, o.RequestOrder)
	if err == nil && len(deals) == 0 {
		err = taken
	}
	return err
}

func (s *shell) runDeal(ctx context.Context, command string, r running) error {
	id, err := parseHash(command, "deal", r.deal)
	if err != nil {
		return err
	}
	p, err := s.place(command)
	if err != nil {
		return err
	}
	fetch, err := s.fetch(command, p, r.fetching)
	if err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	d, err := deal.Read(ctx, p.trade.Chain, id)
	if err != nil {
		return err
	}
	if err := s.unlock(fetch, d.Beneficiary); err != nil {
		return err
	}
	return s.follow(ctx, p, d, false, fetch)
}

// fetch returns how results are fetched, as far as the command line says it; nil when they
// are not to be.
func (s *shell) fetch(command string, p place, f *fetching) (*request.Fetching, error) {
	if f.folder == "" {
		return nil, nil
	}
	gateways := f.gateways
	if len(gateways) == 0 && p.profile.Gateway != "" {
		gateways = []string{p.profile.Gateway}
	}
	if len(gateways) == 0 {
		return nil, usage.Errorf(command, "the chain %s has no gateway: --gateway URL, or chains.%s.gateway in mrelease.yaml", p.profile.Name, p.profile.Name)
	}
	fetch := &request.Fetching{
		Gateways: gateway.Gateways{URLs: gateways, Tell: s.tell}, Tell: s.tell,
		Unpacking: result.Unpacking{Folder: f.folder, Most: *f.limit},
	}
	var err error
	if f.key != "" {
		fetch.Key, err = request.ReadPrivateKey(f.key)
	}
	return fetch, err
}

// unlock has results decrypted with the beneficiary's key if there is one, and none was named.
func (s *shell) unlock(fetch *request.Fetching, beneficiary common.Address) error {
	if fetch == nil || fetch.Key != nil {
		return nil
	}
	key, err := request.ReadPrivateKey(request.FilesOf(s.folder, beneficiary).Private)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fetch.Key = key
	return err
}

// follow follows a deal to its end, and fetches the results.
func (s *shell) follow(ctx context.Context, p place, d deal.Deal, made bool, fetch *request.Fetching) error {
	s.Note("deal %s, deadline %s", d.ID, d.Deadline.Format(time.RFC3339))
	tasks, err := deal.Follow(ctx, p.trade.Chain, d, deal.Following{Tell: func(e deal.Event) {
		left := ""
		if !e.Task.Stage.IsOver() {
			left = fmt.Sprintf(", %s left", e.Left.Round(time.Second))
		}
		s.Note("  task %s: %s%s", e.Task.ID, e.Task.Stage, left)
	}, Idle: func(i deal.Idle) { s.Note("  %s", i) }, Quiet: 12 * pollEvery(p), Every: pollEvery(p)})
	answer := runAnswer{"mrelease.request-run/v1", p.profile.Name, made, answerOf(d, tasks)}
	if err == nil {
		err = s.fetchAll(ctx, fetch, &answer, tasks)
	}
	if ctx.Err() != nil || len(tasks) == 0 {
		return err
	}
	if failed := s.answer(answer, d.ID.Hex()); failed != nil || err == nil {
		return failed
	}
	return usage.Told(err, *s.JSON)
}

// pollEvery is how often the chain is asked: a development chain has a block at once. A dozen
// looks at which nothing is new are told.
func pollEvery(p place) time.Duration {
	if p.profile.IsDevelopment() {
		return 100 * time.Millisecond
	}
	return 5 * time.Second // a block of Bellecour
}

// fetchAll fetches the results of a deal's tasks.
func (s *shell) fetchAll(ctx context.Context, fetch *request.Fetching, answer *runAnswer, tasks []deal.Task) error {
	if fetch == nil {
		return nil
	}
	all, err := fetch.FetchAll(ctx, answer.ID, tasks, func(got request.Fetched) { s.tellResult(show(got)) })
	if err != nil {
		return &resultError{err}
	}
	for i, got := range all {
		shown := show(got)
		answer.Tasks[i].Result = &shown
	}
	s.Note("all of it is in %s", fetch.Unpacking.Folder)
	return nil
}

// show is a result in an answer.
func show(got request.Fetched) fetchedShown {
	shown := fetchedShown{
		Before: got.Before, Folder: got.Folder, Location: got.Location.Place, Gateway: got.Got.Gateway, Size: got.Got.Size, Address: "checked", Chain: "checked",
		Archive: got.Archive, Format: got.Result.Format, Files: got.Result.Files,
	}
	if !got.Got.Checked {
		shown.Address = got.Got.Unchecked
	}
	if got.Result.Digest == "" {
		shown.Chain = got.Result.Unchecked
	}
	if shown.Files == nil {
		shown.Files = []result.File{}
	}
	return shown
}

// tellResult tells what was fetched, and what of it was checked.
func (s *shell) tellResult(r fetchedShown) {
	switch {
	case r.Gateway == "":
		s.Note("result: %s, which was there", r.Folder)
	case r.Before:
		s.Note("result: %s, %d bytes from %s, fetched before", r.Folder, r.Size, r.Gateway)
	default:
		s.Note("result: %s, %d bytes from %s", r.Folder, r.Size, r.Gateway)
	}
	if r.Address == "checked" {
		s.Note("  the bytes are those that %s names", r.Location)
	} else {
		s.Note("  not compared with its address: %s", printable.Text(r.Address))
	}
	switch {
	case r.Chain == "checked":
		s.Note("  its digest is the one that the chain has")
	case r.Archive != "":
		s.Note("  it is encrypted (%s), and no key was found: mrelease request result decrypt %s --key FILE", r.Format, r.Archive)
	default:
		s.Note("  not compared with the chain's digest: %s", printable.Text(r.Chain))
	}
	for _, f := range r.Files {
		s.Note("  %s  %12d  %s", f.SHA256, f.Size, f.Name)
	}
}
