package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/google/uuid"

	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// apps releases many apps of one configuration in one run, and the same number one after
// the other.
func apps(ctx context.Context, b *bench) ([]row, error) {
	const some, many = 20, 40
	f := &fleet{b, filepath.Join(b.dir, "fleet")}
	if _, err := f.release(ctx, 1, nil); err != nil { // brings the base image
		return nil, err
	}
	alone, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := f.transactions(ctx, some)
	if err != nil {
		return nil, err
	}
	var together []cost
	for range b.runs {
		c, err := f.release(ctx, some, nil)
		if err != nil {
			return nil, err
		}
		together = append(together, c)
	}
	one := times(alone.releases)
	all := row{Name: fmt.Sprintf("%d apps in one run", some), Unit: "s", Ours: times(together), Theirs: one.times(some)}
	all.Ratio = all.Theirs.Median / all.Ours.Median
	build := times(alone.builds).Median
	all = all.atMost(1.5 * (chain.Seconds() + build))
	all.Note = fmt.Sprintf("others: mrelease release of one app (%.2f s), %d times; the target is 1.5 times the chain's time for as many transactions, one by one (%.2f s), and one build (%.2f s)", one.Median, some, chain.Seconds(), build)

	limited, err := f.limited(ctx, many)
	return append([]row{all}, limited...), err
}

// fleet is where apps are released by the dozen.
type fleet struct {
	b     *bench
	state string
}

// account is a wallet and its address.
type account struct {
	wallet
	address common.Address
}

// newWallet makes a wallet file for a new account, which needs no coins on this chain: the
// market takes 50 open orders of one account.
func newWallet(file string) (w account, err error) {
	w.wallet = wallet{file, "bench"}
	key, err := crypto.GenerateKey()
	if err != nil {
		return w, fmt.Errorf("making a wallet: %w", err)
	}
	w.address = crypto.PubkeyToAddress(key.PublicKey)
	text, err := keystore.EncryptKey(&keystore.Key{Id: uuid.New(), Address: w.address, PrivateKey: key}, w.password, keystore.LightScryptN, keystore.LightScryptP)
	if err == nil {
		err = os.WriteFile(w.file, text, 0o600)
	}
	if err != nil {
		return w, fmt.Errorf("making a wallet: %w", err)
	}
	return w, nil
}

// command is mrelease for a number of new apps, each with a line in its source that no
// other has.
func (f *fleet) command(ctx context.Context, apps int, args ...string) (project, *exec.Cmd, error) {
	p, err := f.b.newProject()
	if err != nil {
		return p, nil, err
	}
	w, err := newWallet(p.dir + ".wallet.json")
	if err != nil {
		return p, nil, err
	}
	settings := &strings.Builder{}
	fmt.Fprintf(settings, "chain: sandbox-v5\nwallet: {keystore: %q}\napps:\n", w.file)
	for i := range apps {
		name := fmt.Sprintf("%s-%d", p.name, i)
		dir := filepath.Join(p.dir, name)
		if err := os.CopyFS(dir, os.DirFS(f.b.path("examples/hello-python"))); err != nil {
			return p, nil, fmt.Errorf("copying example: %w", err)
		}
		if err := (project{dir: dir}).touch("src/app.py", "\n# "+name+"\n"); err != nil {
			return p, nil, err
		}
		fmt.Fprintf(settings, "  - {name: %s, image: %s/%s, build: {context: %s}}\n", name, os.Getenv("SANDBOX_REGISTRY"), name, name)
	}
	cmd, err := f.b.mrelease(ctx, p, f.state, settings.String(), args...)
	if err == nil {
		cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+w.password)
	}
	return p, cmd, err
}

// release releases a number of new apps; in, unless it is nil, changes the command.
func (f *fleet) release(ctx context.Context, apps int, in func(*exec.Cmd)) (c cost, err error) {
	p, cmd, err := f.command(ctx, apps, "release", "--version", "1.0.0")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	if in != nil {
		in(cmd)
	}
	_, c, err = timed(cmd)
	return c, err
}

// single are builds and releases of one app.
type single struct{ builds, releases []cost }

func (f *fleet) alone(ctx context.Context) (s single, err error) {
	for range f.b.runs {
		p, cmd, err := f.command(ctx, 1, "build")
		if err != nil {
			return s, err
		}
		_, built, err := timed(cmd)
		if err = errors.Join(err, p.remove()); err != nil {
			return s, err
		}
		released, err := f.release(ctx, 1, nil)
		if err != nil {
			return s, err
		}
		s.builds, s.releases = append(s.builds, built), append(s.releases, released)
	}
	return s, nil
}

// transactions is the time that the chain takes for transactions of one account, each sent
// once the one before it is in a block.
func (f *fleet) transactions(ctx context.Context, n int) (time.Duration, error) {
	client, err := ethclient.DialContext(ctx, os.Getenv("SANDBOX_RPC_V5"))
	if err != nil {
		return 0, fmt.Errorf("connecting to the sandbox's chain: %w", err)
	}
	defer client.Close()
	id, err := client.ChainID(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking the sandbox's chain: %w", err)
	}
	key := world.Key(9)
	from := crypto.PubkeyToAddress(key.PublicKey)
	nonce, err := client.NonceAt(ctx, from, nil)
	if err != nil {
		return 0, fmt.Errorf("asking the sandbox's chain: %w", err)
	}
	start := time.Now()
	for i := range n {
		tx, err := types.SignNewTx(key, types.LatestSignerForChainID(id), &types.LegacyTx{Nonce: nonce + uint64(i), To: &from, Gas: 21_000, GasPrice: new(big.Int)})
		if err != nil {
			return 0, fmt.Errorf("signing a transaction: %w", err)
		}
		if err := client.SendTransaction(ctx, tx); err != nil {
			return 0, fmt.Errorf("sending a transaction: %w", err)
		}
		if _, err := protocol.Mined(ctx, client, tx.Hash()); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// most is the memory that many apps may have: all that is run for them, and what the kernel
// keeps of their files.
const most = 4 << 30

// limited releases apps where there is little memory. What takes more is killed, and the
// release fails.
func (f *fleet) limited(ctx context.Context, apps int) ([]row, error) {
	group, err := newMemoryGroup("mrelease-bench", most)
	if err != nil {
		fmt.Fprintf(f.b.stderr, "bench: apps in little memory are not measured: %v\n", err)
		return nil, nil
	}
	c, err := f.release(ctx, apps, group.enter)
	if err = errors.Join(err, group.remove()); err != nil {
		return nil, fmt.Errorf("with %d MiB: %w", most>>20, err)
	}
	r := row{Name: fmt.Sprintf("peak memory, %d apps in one run", apps), Unit: "MB", Ours: values(megabytes(c.Peak))}
	r.Note = fmt.Sprintf("of the largest process, in a control group with %d MiB for all of them; it took %.1f s, and nothing was killed", most>>20, c.Wall.Seconds())
	return []row{r}, nil
}
