package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/market"
)

// rotations compares a release that retires the order of the one before with one that keeps
// it on sale.
func rotations(ctx context.Context, b *bench) ([]row, error) {
	f := &fleet{b, filepath.Join(b.dir, "rotation")}
	chain, err := f.transactions(ctx, 1)
	if err != nil {
		return nil, err
	}
	measured, err := alternate(2*b.runs, func() (cost, error) { return f.second(ctx, "keep") }, func() (cost, error) { return f.second(ctx, "close") })
	if err != nil {
		return nil, err
	}
	r := compare("release that retires an order, against one that keeps it", measured[1], measured[0])
	added, limit := r.Ours.Median-r.Theirs.Median, chain.Seconds()+0.1
	r.Note = fmt.Sprintf("the second release of an app; it adds %.3f s, and the chain takes %.3f s for a transaction", added, chain.Seconds())
	return []row{r.judge(number(limit, " s")+" more at most", added <= limit)}, nil
}

// second releases an app twice, with a changed source, and returns what the second time cost.
func (f *fleet) second(ctx context.Context, retire string) (c cost, err error) {
	p, err := f.b.newProject()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	w, err := newWallet(p.dir + ".wallet.json")
	if err != nil {
		return c, err
	}
	settings := fmt.Sprintf("name: %s\nimage: %s/%s\nchain: sandbox-v5\nwallet: {keystore: %q}\norder: {retire: %s}\n", p.name, os.Getenv("SANDBOX_REGISTRY"), p.name, w.file, retire)
	for _, version := range []string{"1.0.0", "1.0.1"} {
		if err := p.touch("src/app.py", "# "+version+"\n"); err != nil {
			return c, err
		}
		cmd, err := f.b.mrelease(ctx, p, f.state, settings, "release", "--version", version)
		if err != nil {
			return c, err
		}
		cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+w.password)
		if _, c, err = timed(cmd); err != nil {
			return c, err
		}
	}
	on, err := market.Client{URL: os.Getenv("SANDBOX_MARKET"), ChainID: 134}.OnSale(ctx, w.address)
	if want := map[string]int{"close": 1, "keep": 2}[retire]; err != nil || len(on) != want {
		return c, fmt.Errorf("releasing with retire: %s: %d orders are on sale, want %d: %w", retire, len(on), want, err)
	}
	return c, nil
}
