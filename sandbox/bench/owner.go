package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry/signing"
	copies "github.com/mrelease/mrelease/sandbox/fleet"
)

// owners verifies all apps of an owner who has some, and then of the same with many.
func owners(ctx context.Context, b *bench) ([]row, error) {
	const few, many = 100, 400
	f, owner, err := b.newFleet(ctx)
	if err != nil {
		return nil, err
	}
	var costs [2][]cost
	have := 0
	for i, apps := range []int{few, many} {
		if err := f.Copy(ctx, have, apps-1); err != nil { // and the release itself
			return nil, err
		}
		have = apps - 1
		for range b.runs {
			c, err := b.verifyOwner(ctx, owner, apps)
			if err != nil {
				return nil, err
			}
			costs[i] = append(costs[i], c)
		}
	}
	some, all := times(costs[0]), times(costs[1])
	hundred := row{Name: "verify of 100 apps of an owner", Unit: "s", Ours: some}.atMost(5)
	hundreds := row{Name: fmt.Sprintf("verify of %d apps of an owner", many), Unit: "s", Ours: all}.atMost(5 * many / 100)
	hundreds.Note = fmt.Sprintf("%.2f s for each 100, and %.2f s where there are %d; %d orders are on sale, as many as the market takes", all.Median*100/many, some.Median, few, onSale)
	growth := row{Name: fmt.Sprintf("peak memory, %d apps of an owner against %d", many, few), Unit: "MB", Ours: values(max(0, all.Peak-some.Peak))}.atMost(16)
	growth.Note = fmt.Sprintf("%.0f MB and %.0f MB", some.Peak, all.Peak)
	return []row{hundred, hundreds, growth}, nil
}

// onSale is how many orders of an owner the market takes.
const onSale = 50

// newFleet releases the example, for copies of it.
func (b *bench) newFleet(ctx context.Context) (f copies.Fleet, owner common.Address, err error) {
	p, err := b.newProject()
	if err != nil {
		return f, owner, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	w, err := newWallet(p.dir + ".wallet.json")
	if err != nil {
		return f, owner, err
	}
	settings := fmt.Sprintf("name: %s\nimage: %s/%s\nchain: sandbox-v5\nwallet: {keystore: %q}\n", p.name, os.Getenv("SANDBOX_REGISTRY"), p.name, w.file)
	cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "owner"), settings, "release", "--version", "1.0.0")
	if err != nil {
		return f, owner, err
	}
	cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+w.password)
	if _, _, err := timed(cmd); err != nil {
		return f, owner, err
	}
	if f.Release, err = record.ReadFile(filepath.Join(p.dir, "dist/record.json")); err != nil {
		return f, owner, err
	}
	if f.Owner, err = node.OpenKeystore(w.file, []byte(w.password)); err != nil {
		return f, owner, err
	}
	key, err := os.ReadFile(filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "cosign.key"))
	if err != nil {
		return f, owner, fmt.Errorf("reading the sandbox's key: %w", err)
	}
	if f.Key, err = signing.LoadKey(key, []byte(os.Getenv("COSIGN_PASSWORD"))); err != nil {
		return f, owner, err
	}
	chain, err := worldChain("sandbox-v5")
	if err != nil {
		return f, owner, err
	}
	profile := poco.Chain{Name: "sandbox-v5", ID: f.Release.App.ChainID, RPC: chain["rpc"], Hub: common.HexToAddress(chain["hub"]), Market: chain["market"], Fees: poco.FeesLegacy, Development: true}
	f.Chain, err = node.Connect(ctx, profile)
	f.Market, f.OnSale = market.Client{URL: profile.Market, ChainID: profile.ID}, onSale-1 // and the release's
	return f, w.address, err
}

// verifyOwner verifies all apps of an owner, of which some are on sale no more.
func (b *bench) verifyOwner(ctx context.Context, owner common.Address, apps int) (c cost, err error) {
	cmd := exec.CommandContext(ctx, b.path("bin/mrelease"), "verify", "--owner", owner.Hex(), "--chain", "sandbox-v5", "--config", filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return c, fmt.Errorf("verifying the apps of %s: %w", owner, err)
	}
	peak := watchPeak(cmd.Process.Pid)
	err = cmd.Wait()
	c.Wall, c.Peak = time.Since(start), peak()
	const notForSale = 14
	want := fmt.Sprintf("%d apps of %s on sandbox-v5: %d hold in all that was looked at, %d not on sale, and hold otherwise\n", apps, owner, onSale, apps-onSale)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != notForSale || !strings.Contains(stdout.String(), want) {
		return c, fmt.Errorf("verifying the apps of %s: want exit code %d and %q: %w\n%.5000s%.5000s", owner, notForSale, want, err, &stdout, &stderr)
	}
	state := cmd.ProcessState
	c.CPU = state.UserTime() + state.SystemTime()
	return c, nil
}

// watchPeak watches the peak memory of a process, in bytes, until it is asked for it. What the
// kernel counts of a process that ended begins with the peak of the one that started it, which
// is this one, and larger.
func watchPeak(pid int) func() int64 {
	done, last := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone once it ended
			if _, value, found := strings.Cut(string(text), "VmHWM:"); found {
				var kilobytes int64
				if _, err := fmt.Sscan(value, &kilobytes); err == nil {
					peak = kilobytes << 10
				}
			}
			select {
			case <-done:
				last <- peak
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(done); return <-last }
}
