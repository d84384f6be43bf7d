package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/clients"
	"github.com/mrelease/mrelease/sandbox/world"
)

// requester is a project of iExec's command line 9.0.1, with the wallet of the sandbox, its
// result key, and an app that both sides buy runs of.
type requester struct {
	b       *bench
	iexec   *clients.IExec
	config  string // file of mrelease
	address string
	app     common.Address
	offers  [2]common.Hash // orders of the app and of the workerpool
	params  string
}

// newRequester sets the project up; that is no part of what is measured.
func (b *bench) newRequester(ctx context.Context) (*requester, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("requester-%d", b.next()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making project: %w", err)
	}
	iexec, err := clients.NewIExec(b.path(modules), 9, dir)
	if err != nil {
		return nil, err
	}
	chain, err := worldChain("sandbox")
	if err != nil {
		return nil, err
	}
	err = iexec.Init(ctx, clients.Chain{
		ID: 65535, RPC: chain["rpc"], Hub: chain["hub"], Market: chain["market"], SMS: os.Getenv("SANDBOX_SECRETS"), Gateway: os.Getenv("SANDBOX_GATEWAY"),
	})
	if err != nil {
		return nil, err
	}
	key := world.Key(1)
	r := &requester{
		b: b, iexec: iexec, config: filepath.Join(dir, "bench.yaml"), address: crypto.PubkeyToAddress(key.PublicKey).Hex(),
		params: `{"iexec_args":"bench","iexec_result_encryption":true}`,
	}
	for _, args := range [][]string{
		{"wallet", "import", "0x" + hex.EncodeToString(crypto.FromECDSA(key)), "--keystoredir", "local", "--password", walletPassword},
		append([]string{"result", "generate-encryption-keypair"}, unlocked()...),
	} {
		if _, err := iexec.Call(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, os.WriteFile(r.config, fmt.Appendf(nil, "wallet: {keystore: ., address: %q}\n", r.address), 0o600)
}

// ready makes what a requester has before it orders: a key that was pushed, a stake, and
// an app that is sold.
func (r *requester) ready(ctx context.Context) error {
	for _, args := range [][]string{{"result", "push-encryption-key"}, {"account", "deposit", "100000"}} {
		if _, err := r.call(ctx, args...); err != nil {
			return err
		}
	}
	if err := r.release(ctx); err != nil {
		return err
	}
	book := market.Client{URL: os.Getenv("SANDBOX_MARKET"), ChainID: 65535}
	pools, _, err := market.List[poco.SignedWorkerpoolOrder](ctx, book, url.Values{"category": {"0"}})
	if err != nil {
		return err
	}
	tag, err := poco.ParseTag("tee,tdx")
	if err != nil {
		return err
	}
	for _, o := range pools {
		if tag.Within(o.Order.Tag) {
			r.offers[1] = o.Hash
		}
	}
	if r.offers[1] == (common.Hash{}) {
		return errors.New("no workerpool of the sandbox runs what has the tag tee,tdx")
	}
	return nil
}

// want writes into iexec.json what the request asks for, which order init leaves open.
func (r *requester) want() error {
	return r.iexec.Edit(map[string]any{
		"app": r.app.Hex(), "appmaxprice": "0", "workerpoolmaxprice": "100", "category": "0", "tag": []string{"tee", "tdx"}, "volume": "1",
		"params": map[string]any{"iexec_args": "bench", "iexec_result_encryption": true},
	}, "order", "requestorder")
}

// release releases the example as the command line still trades apps: without an enclave.
func (r *requester) release(ctx context.Context) (err error) {
	p, err := r.b.newProject()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox\nenclave: {format: none, trust: stated}\norder: {tag: \"tee,tdx\"}\n", os.Getenv("SANDBOX_REGISTRY"), p.name, p.name)
	cmd, err := r.b.mrelease(ctx, p, filepath.Join(r.b.dir, "requester"), settings, "release", "--version", p.version)
	if err != nil {
		return err
	}
	if _, _, err := timed(cmd); err != nil {
		return err
	}
	rec, err := record.ReadFile(filepath.Join(p.dir, "dist", "record.json"))
	r.app, r.offers[0] = common.Address(rec.App.Address), rec.Order.Hash
	return err
}

// call runs a command of iExec's, with the wallet.
func (r *requester) call(ctx context.Context, args ...string) (clients.Answer, error) {
	return r.iexec.Call(ctx, r.full(args)...)
}

func (r *requester) full(args []string) []string {
	return append(append(args, "--chain", "local"), unlocked()...)
}

// mrelease returns a command that runs mrelease request in the project.
func (r *requester) mrelease(ctx context.Context, args ...string) *exec.Cmd {
	args = append(append([]string{"request"}, args...), "--config", filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml"), "--config", r.config)
	cmd := exec.CommandContext(ctx, r.b.path("bin/mrelease"), args...)
	cmd.Dir, cmd.Env = r.iexec.Dir, append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+walletPassword)
	return cmd
}

// requests compares what a requester waits for, from the order to the clear result, beside
// what chain and workerpool take themselves.
func requests(ctx context.Context, b *bench) ([]row, error) {
	r, err := b.newRequester(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	s := &script{b: b}
	var ours, theirs []cost
	var chain []float64
	for i := range b.runs {
		to := fmt.Sprintf("bought-%d", i)
		o, waited, err := besideChain(ctx, func() (cost, error) { return r.buy(ctx, to) })
		if err != nil {
			return nil, err
		}
		t, waitedToo, err := besideChain(ctx, func() (cost, error) { return r.buyTheirs(ctx, s, to) })
		if err != nil {
			return nil, err
		}
		ours, theirs, chain = append(ours, o), append(theirs, t), append(chain, waited.Seconds(), waitedToo.Seconds())
	}
	bought := compare("request, order to clear result", ours, theirs).faster(8)
	bought.Parts = s.summary()
	bought.Note = fmt.Sprintf("without the time of chain and workerpool, %.2f s (median, from the match to the last transaction of the task); one wallet file of iExec's command line 9.0.1 for both; chain 65535 of the sandbox", median(chain))
	return []row{bought}, nil
}

// buy orders a run, has it done, and fetches its result.
func (r *requester) buy(ctx context.Context, to string) (cost, error) {
	file := to + ".json"
	_, ordered, err := timed(r.mrelease(ctx, "order", "--app", r.app.Hex(), "--tag", "tee,tdx", "--params", r.params, "--workerpool-max-price", "100", "--private", "--file", file))
	if err != nil {
		return cost{}, err
	}
	_, ran, err := timed(r.mrelease(ctx, "run", file, "--to", to))
	if err == nil {
		_, err = os.Stat(filepath.Join(r.iexec.Dir, to, "result.txt"))
	}
	return ordered.and(ran), err
}

// buyTheirs does the same with iExec's command line.
func (r *requester) buyTheirs(ctx context.Context, s *script, to string) (total cost, err error) {
	do := func(args ...string) (clients.Answer, error) {
		name := "iexec " + args[0] + " " + args[1]
		out, c, err := s.do(name, r.iexec.Command(ctx, r.full(args)...))
		total = total.and(c)
		if err != nil {
			return nil, err
		}
		answer, ok := clients.Parse(out)
		if !ok {
			return nil, fmt.Errorf("%s: %s", name, out)
		}
		return answer, nil
	}
	if _, err := do("order", "init", "--request"); err != nil {
		return total, err
	}
	if err := r.want(); err != nil { // which takes its user some time
		return total, err
	}
	if _, err := do("order", "sign", "--request", "--force"); err != nil {
		return total, err
	}
	filled, err := do("order", "fill", "--app", r.offers[0].Hex(), "--workerpool", r.offers[1].Hex(), "--force")
	if err != nil {
		return total, err
	}
	shown, err := do("deal", "show", fmt.Sprint(filled["dealid"]))
	if err != nil {
		return total, err
	}
	var deal struct{ Tasks []string }
	text, err := json.Marshal(shown["deal"])
	if err == nil {
		err = json.Unmarshal(text, &deal)
	}
	if err != nil || len(deal.Tasks) != 1 {
		return total, fmt.Errorf("iexec deal show: want one task: %v, %w", shown, err)
	}
	if _, err := do("task", "show", deal.Tasks[0], "--watch", "--download", to, "--decrypt"); err != nil {
		return total, err
	}
	_, err = os.Stat(filepath.Join(r.iexec.Dir, to+".zip"))
	return total, err
}

// besideChain takes from a cost the time in which the chain made blocks: from the first
// to the last one, as nobody else uses it.
func besideChain(ctx context.Context, work func() (cost, error)) (c cost, waited time.Duration, err error) {
	client, err := ethclient.DialContext(ctx, os.Getenv("SANDBOX_RPC"))
	if err != nil {
		return c, 0, fmt.Errorf("watching chain: %w", err)
	}
	defer client.Close()
	before, err := client.BlockNumber(ctx)
	if err != nil {
		return c, 0, fmt.Errorf("watching chain: %w", err)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	spans := make(chan time.Duration)
	go func() { spans <- blocks(watching, client, before) }()
	c, err = work()
	stop()
	waited = <-spans
	c.Wall -= waited
	return c, waited, err
}

// blocks returns how long it took from the first to the last block until it is told to stop.
func blocks(ctx context.Context, client *ethclient.Client, last uint64) time.Duration {
	var first, latest time.Time
	for ctx.Err() == nil {
		if n, err := client.BlockNumber(ctx); err == nil && n > last {
			last, latest = n, time.Now()
			if first.IsZero() {
				first = latest
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return latest.Sub(first)
}
