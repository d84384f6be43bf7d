package canarytest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/canary"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/ipfs"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

const answer = "42\n"

// What is wrong with a result of which the digest on chain does not follow.
const (
	none         = "its result is none"
	incomparable = "its result cannot be compared with what the workers agreed on"
)

// uncomputed has, by what a run is told, each computed.json from which the digest on chain
// does not follow: without one a result is none, and of a folder's the digest is another.
var uncomputed = map[string]struct{ text, problem string }{
	"it has none":                 {"", none},
	"it is no JSON":               {"answer", incomparable},
	"it names nothing":            {"{}", incomparable},
	"it names what is not there":  {`{"deterministic-output-path":"/iexec_out/nothing"}`, incomparable},
	"it names a folder of others": {`{"deterministic-output-path":"/iexec_out/both"}`, none},
}

// work is a run that prints something and gives the answer, or ends without a result.
func work(results *ipfs.Gateway, t workerpool.Task) (workerpool.Result, error) {
	if strings.Contains(t.Deal.Params, "crash") {
		return workerpool.Result{}, errors.New("the program ended with exit code 1")
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	files := map[string]string{"answer": answer, "stdout.txt": "computing\n", "computed.json": `{"deterministic-output-path":"/iexec_out/answer"}`, "both/in/answer": answer}
	for params, c := range uncomputed {
		if strings.Contains(t.Deal.Params, params) {
			files["computed.json"] = c.text
		}
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		f, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			return workerpool.Result{}, err
		}
	}
	if err := z.Close(); err != nil {
		return workerpool.Result{}, err
	}
	path, err := results.Add(archive.Bytes())
	return workerpool.Result{Digest: sha256.Sum256([]byte(answer)), Location: fmt.Appendf(nil, `{"storage":"ipfs","location":%q}`, path)}, err
}

// stage is an app on a chain whose owner buys runs of it.
type stage struct {
	t      *testing.T
	world  *world.World
	chain  world.Chain
	wallet node.Wallet
	canary canary.Canary
	told   []string
	folder string
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newStage(t *testing.T, w *world.World, c world.Chain) *stage {
	t.Helper()
	s := &stage{t: t, world: w, chain: c, folder: t.TempDir()}
	client, err := node.Connect(t.Context(), poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Market: w.Market, Gateway: w.Gateway, Fees: c.Fees, Development: true})
	s.must(err)
	s.wallet, err = node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(1))))
	s.must(err)
	app := poco.App{
		Owner: s.wallet.Address, Name: t.Name(), Type: poco.TypeDocker, Multiaddr: []byte("registry.example/app:1.0.0"),
		Checksum: common.HexToHash("0x01"), MREnclave: []byte("fingerprint"),
	}
	made, err := apps.Register(t.Context(), client, s.wallet, app, measure.Enclave{})
	s.must(errors.Join(err, c.Grant(t.Context(), s.wallet.Address)))
	s.canary = canary.Canary{
		Chain: client, Market: market.Client{URL: w.Market, ChainID: c.ID}, App: made.Address, Owner: s.wallet.Address, Tag: poco.TEE(),
		Terms: canary.Terms{MaxPrice: 100, Deposit: true, Timeout: time.Minute, Params: `{"iexec_result_storage_provider":"ipfs"}`},
	}
	return s
}

func startWorld(t *testing.T) *world.World {
	t.Helper()
	var w *world.World // whose results are there before a run is
	pool := &world.Pool{Work: func(_ context.Context, t workerpool.Task) (workerpool.Result, error) { return work(w.Results, t) }}
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// both runs a test on both chains.
func both(t *testing.T, test func(*stage)) {
	t.Parallel() // a run is waited for more than it works
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := newStage(t, w, c)
			test(s)
		})
	}
}

// prove is a release's step.
func (s *stage) prove() (made bool, err error) {
	_, made, err = s.proof()
	return made, err
}

// proof returns what the step puts into the record, too.
func (s *stage) proof() (proof record.Canary, made bool, err error) {
	return s.canary.Prove(s.t.Context(), canary.Proving{
		Wallet: s.wallet, Folder: s.folder, Getenv: os.Getenv, Tell: func(text string) { s.told = append(s.told, text) },
	})
}

// expect says what digest the answer must have.
func (s *stage) expect(text string) {
	s.canary.Terms.Expected = canary.Expected{File: "answer", Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))}
}

// left asks how many runs of the order of a round are left.
func (s *stage) left(round uint64) int64 {
	s.t.Helper()
	left, err := node.Remaining(s.t.Context(), s.canary.Chain, orders.Private(s.canary.Chain.Domain(), s.canary.App, s.wallet.Address, s.canary.Tag, round))
	s.must(err)
	return left.Int64()
}

func (s *stage) free() int64 {
	s.t.Helper()
	stake, err := node.StakeOf(s.t.Context(), s.canary.Chain, s.wallet.Address)
	s.must(err)
	return stake.Free.Int64() + stake.Locked.Int64()
}

// A good run is bought once, whoever looks for it, and its order is used up.
func TestGood(t *testing.T) {
	both(t, func(s *stage) {
		s.expect(answer)
		before, err := s.canary.Look(s.t.Context())
		if err != nil || before.Deal != (common.Hash{}) || before.Price.Int64() != 100 || before.Missing.Int64() != 100 || before.Workerpool != s.chain.Workerpool.Address {
			s.t.Errorf("before: %+v, %v", before, err)
		}
		for _, first := range []bool{true, false} {
			made, err := s.prove()
			if err != nil || made != first {
				s.t.Fatalf("made %t, %v, want %t", made, err, first)
			}
		}
		if s.left(0) != 0 || s.left(1) != 1 || s.free() != 0 {
			s.t.Errorf("%d and %d runs and %d nRLC are left", s.left(0), s.left(1), s.free())
		}
		after, err := s.canary.Look(s.t.Context())
		if err != nil || after.Stage != deal.Completed || after.Deal == (common.Hash{}) {
			s.t.Errorf("after: %+v, %v", after, err)
		}
	})
}

// A run whose result is another one fails, and is found again; with what is expected
// corrected it is good, and only who asks for it buys another one.
func TestBadResult(t *testing.T) {
	both(t, func(s *stage) {
		s.expect("43\n")
		for _, wantMade := range []string{"first", "again"} {
			_, err := s.prove()
			var failed *canary.FailedError
			if !errors.As(err, &failed) || failed.Problem != "its result has another answer" || failed.Printed != "computing\n" || !strings.Contains(failed.Closed, "no runs of it are left") {
				s.t.Fatalf("%s: %v", wantMade, err)
			}
		}
		s.canary.Again = true
		if _, err := s.prove(); err == nil || s.left(1) != 0 || s.left(2) != 1 {
			s.t.Errorf("another one: %v, with %d and %d runs left", err, s.left(1), s.left(2))
		}
		s.canary.Again = false
		s.expect(answer)
		if made, err := s.prove(); err != nil || made || s.left(2) != 1 {
			s.t.Errorf("corrected: %t, %v", made, err)
		}
		s.canary.Terms.Params = "other"
		var other *canary.OtherError
		if _, err := s.prove(); !errors.As(err, &other) || other.Round != 1 {
			s.t.Errorf("with other params: %v", err)
		}
		s.canary.Again = true
		if made, err := s.prove(); err != nil || !made {
			s.t.Errorf("with other params, again: %t, %v", made, err)
		}
	})
}

// A run without a result is waited for until its deadline; what was paid comes back, once.
func TestLate(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	s := newStage(t, w, w.V6)
	s.canary.Terms.Params, s.canary.Terms.Timeout = "crash", time.Second
	found, err := s.canary.Look(t.Context())
	s.must(err)
	price := found.Price.Int64()
	var running *canary.RunningError
	if _, err := s.prove(); !errors.As(err, &running) || time.Until(running.Deadline) <= 0 {
		t.Fatalf("before its deadline: %v", err)
	}
	if found, err := s.canary.Look(t.Context()); err != nil || found.Stage == "" || found.Stage.IsOver() {
		t.Errorf("found %+v, %v", found, err)
	}
	s.must(s.chain.Advance(time.Until(running.Deadline)))
	for _, when := range []string{"at its deadline", "later"} {
		_, err := s.prove()
		var failed *canary.FailedError
		if !errors.As(err, &failed) || !strings.Contains(failed.Actual, "are back") || !strings.Contains(fmt.Sprint(failed.Evidence()), "no worker has contributed") || s.free() != price {
			t.Errorf("%s: %v, with %d nRLC of %d", when, err, s.free(), price)
		}
	}
	var failed *canary.FailedError
	if _, err := s.canary.Look(t.Context()); !errors.As(err, &failed) {
		t.Errorf("looked for: %v", err)
	}
	s.canary.Again = true
	if found, err := s.canary.Look(t.Context()); err != nil || found.Missing.Sign() != 0 || found.Price.Int64() != price {
		t.Errorf("another one: %+v, %v", found, err)
	}
}

// Who cannot pay is told before anything is sent, and nothing is paid in silently.
func TestTooPoor(t *testing.T) {
	both(t, func(s *stage) {
		s.canary.Terms.Deposit = false
		var low *node.StakeError
		if _, err := s.canary.Look(s.t.Context()); !errors.As(err, &low) || low.Missing().Int64() != 100 {
			s.t.Errorf("looked: %v", err)
		}
		if _, err := s.prove(); !errors.As(err, &low) || s.left(0) != 1 || s.free() != 0 {
			s.t.Errorf("proved: %v", err)
		}
		s.canary.Terms.Deposit, s.canary.Terms.MaxPrice = true, 99
		var none *deal.NoMatchError
		if _, err := s.canary.Look(s.t.Context()); !errors.As(err, &none) {
			s.t.Errorf("looked with a limit too low: %v", err)
		}
	})
}

// A result that is another one than the workers agreed on fails; a gateway that has
// nothing says nothing of the run.
func TestResultThatIsNone(t *testing.T) {
	both(t, func(s *stage) {
		s.must(s.world.Faults.Add(fault.Rule{Service: "gateway", Status: 404, Times: 99}))
		_, err := s.prove()
		s.world.Faults.Clear()
		var absent *gateway.Error
		if !errors.As(err, &absent) {
			s.t.Errorf("a gateway without it: %v", err)
		}
		if made, err := s.prove(); err != nil || made {
			s.t.Errorf("later: %t, %v", made, err)
		}
		s.canary.Terms.Params = "lie"
		s.canary.Again = true
		s.must(s.world.Faults.Add(fault.Rule{Service: string(workerpool.Mistold), Status: 500}))
		_, err = s.prove()
		var failed *canary.FailedError
		if !errors.As(err, &failed) || failed.Problem != "its result is none" {
			s.t.Errorf("another result: %v", err)
		}
	})
}

// A result that cannot be compared with what the workers agreed on is not good, whatever is
// in it: any gateway could have made it.
func TestResultThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	s := newStage(t, w, w.V6)
	s.expect(answer)
	s.canary.Again = true
	for params, c := range uncomputed {
		s.canary.Terms.Params = params
		_, err := s.prove()
		var failed *canary.FailedError
		if !errors.As(err, &failed) || failed.Problem != c.problem || !strings.Contains(failed.Closed, "no runs of it are left") {
			t.Errorf("%s: %v", params, err)
		}
	}
}

// A result is judged though a gateway does not hand out what its address is compared with;
// and that it was not is told.
func TestResultWithoutItsAddress(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	s := newStage(t, w, w.V6)
	s.expect(answer)
	if proof, _, err := s.proof(); err != nil || proof.Unaddressed || strings.Contains(proof.Stated(), "gateway") {
		t.Errorf("got %+v, %v", proof, err)
	}
	blockless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("format") != "" {
			http.Error(rw, "no blocks here", http.StatusNotImplemented)
			return
		}
		w.Results.ServeHTTP(rw, r)
	}))
	defer blockless.Close()
	s.canary.Chain.Gateway, s.told = blockless.URL, nil
	proof, _, err := s.proof()
	if err != nil || !proof.Unaddressed || !strings.Contains(proof.Stated(), "no more was compared than its digest") {
		t.Errorf("without blocks: %+v, %v", proof, err)
	}
	if told := strings.Join(s.told, "\n"); !strings.Contains(told, "was not compared with its address: ") {
		t.Errorf("told %q", told)
	}
}

// Whatever happens to the transaction that buys the run, and wherever a release is
// stopped, there is one run.
func TestOnce(t *testing.T) {
	both(t, func(s *stage) {
		s.must(s.world.Faults.Add(fault.Rule{Service: s.rpc(), Match: "eth_sendRawTransaction", Drop: true, After: true, Times: 2}))
		s.must(s.world.Faults.Add(fault.Rule{Service: s.rpc(), Match: "eth_getTransactionReceipt", Status: 500, Times: 2}))
		for stop := range 6 {
			ctx, cancel := context.WithCancel(s.t.Context())
			told := 0
			_, _, err := s.canary.Prove(ctx, canary.Proving{Wallet: s.wallet, Folder: s.folder, Getenv: os.Getenv, Tell: func(string) {
				if told++; told > stop {
					cancel()
				}
			}})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				s.t.Errorf("stopped when %d things were told: %v", stop, err)
			}
			s.world.Faults.Clear()
		}
		if made, err := s.prove(); err != nil || made || s.left(0) != 0 || s.left(1) != 1 || s.free() != 0 {
			s.t.Errorf("made %t, %v; %d and %d runs are left", made, err, s.left(0), s.left(1))
		}
	})
}

func (s *stage) rpc() string {
	if s.chain.ID == s.world.V5.ID {
		return "rpc-v5"
	}
	return "rpc"
}
