package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/poco"
)

// endpoint is a node.
type endpoint struct {
	url string // without the secrets in it
	*ethclient.Client
}

// nodes are the nodes of one chain. One is asked, and another when that one cannot be.
// Before anything is sent all of them are: see survey.
type nodes struct {
	mu    sync.Mutex
	all   []*endpoint          // the first that is not left out is asked
	out   map[*endpoint]lack   // those that are left out, and why
	least uint64               // the block that a node must have: what was sent is in it
	has   map[*endpoint]uint64 // the last block of each, as it was last seen
	tell  func(string)         // nil: what is to be told is kept
	told  []string
}

// lack is why a node is left out.
type lack int

const (
	silent lack = iota + 1 // it does not answer; when no other does, it is tried again
	late                   // it is behind the others
)

// dial makes the connections, which reaches no node yet. Error: *RPCError.
func dial(ctx context.Context, profile poco.Chain, around func(http.RoundTripper) http.RoundTripper) (*nodes, error) {
	n := &nodes{out: map[*endpoint]lack{}, has: map[*endpoint]uint64{}}
	urls := append([]string{profile.RPC}, profile.Spare...)
	limit := bounds.Request
	if len(urls) > 1 {
		limit /= 3 // there is another one to ask
	}
	for _, raw := range urls {
		at, err := url.Parse(raw)
		if err != nil {
			return nil, &RPCError{redact.URL(raw), "dialing", redact.Error(err)}
		}
		client := patient.Client(limit, outside.Service{Host: at.Host, Most: bounds.RPCAnswer, Around: around}, nil)
		dialed, err := rpc.DialOptions(ctx, raw, rpc.WithHTTPClient(client))
		if err != nil {
			return nil, &RPCError{redact.URL(raw), "dialing", redact.Error(err)}
		}
		n.all = append(n.all, &endpoint{redact.URL(raw), ethclient.NewClient(dialed)})
	}
	return n, nil
}

func (n *nodes) close() {
	for _, at := range n.all {
		at.Close()
	}
}

func (n *nodes) tellTo(tell func(string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tell = tell
	for _, text := range n.told {
		tell(text)
	}
	n.told = nil
}

// note tells something. Its caller holds the lock.
func (n *nodes) note(text string) {
	if n.tell == nil {
		n.told = append(n.told, text)
		return
	}
	n.tell(text)
}

func (n *nodes) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(fmt.Sprintf(format, args...))
}

// used are the nodes that are not left out.
func (n *nodes) used() []*endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.usedNow()
}

func (n *nodes) usedNow() (used []*endpoint) {
	for _, at := range n.all {
		if n.out[at] == 0 {
			used = append(used, at)
		}
	}
	return used
}

func (n *nodes) current() *endpoint { return n.used()[0] }

// leaveOut lets a node be asked no more, unless it is the last one. It is told once.
func (n *nodes) leaveOut(at *endpoint, why lack, words string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	used := n.usedNow()
	if !slices.Contains(used, at) {
		return true
	}
	if len(used) == 1 {
		return false
	}
	n.out[at] = why
	n.note(fmt.Sprintf("%s %s: it is left out", at.url, words))
	return true
}

// drop forgets a node that never answered, unless it is the last one.
func (n *nodes) drop(at *endpoint, why string) bool {
	if !n.leaveOut(at, silent, "does not answer: "+why) {
		return false
	}
	at.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = slices.DeleteFunc(n.all, func(e *endpoint) bool { return e == at })
	return true
}

// takeIn lets a node be asked again.
func (n *nodes) takeIn(at *endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.out[at] != 0 {
		delete(n.out, at)
		n.note(at.url + " is asked again")
	}
}

// reached keeps that a block was seen: a node that does not have it yet would answer from
// before it.
func (n *nodes) reached(block uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.least = max(n.least, block)
}

// gone keeps that a block left the chain, which may be shorter now.
func (n *nodes) gone(block uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.least = min(n.least, block-1)
	clear(n.has)
}

// lateError says that a node lacks a block that was seen.
type lateError struct{ has, least uint64 }

func (e *lateError) Error() string {
	return fmt.Sprintf("has %d blocks, not yet %d, which was seen", e.has, e.least)
}

// What a block takes from one node to another.
const (
	// moment is how long another node is waited for where there are more.
	moment = time.Second
	// agreeLimit bounds the wait for nodes to be of one mind, and for one that has the
	// block that was seen last when no other answers.
	agreeLimit = 20 * time.Second
)

// ask asks a node, and another one when that one cannot be asked. Each must have the block
// that was seen last: what was sent is to be read afterwards, whoever is asked.
func ask[T any](ctx context.Context, n *nodes, question func(*ethclient.Client) (T, error)) (answer T, err error) {
	tried := map[*endpoint]bool{}
	for at := n.next(tried); at != nil && (err == nil || ctx.Err() == nil); at = n.next(tried) {
		tried[at] = true
		patience := moment
		if n.next(tried) == nil {
			patience = agreeLimit
		}
		if err = n.catchUp(ctx, at, patience); err == nil {
			answer, err = question(at.Client)
		}
		if err == nil || !unreachable(err) {
			n.takeIn(at)
			return answer, err
		}
		if ctx.Err() == nil { // else it is not the node that failed
			n.leaveOutFor(at, err)
		}
	}
	return answer, err
}

// leaveOutFor leaves a node out that could not be asked.
func (n *nodes) leaveOutFor(at *endpoint, err error) {
	var behind *lateError
	if errors.As(err, &behind) {
		n.leaveOut(at, late, behind.Error())
		return
	}
	n.leaveOut(at, silent, "does not answer: "+cause(err))
}

// next is the node to ask: the first that is used, and when all of those were tried the
// first that was silent or late before. It is nil when all were tried.
func (n *nodes) next(tried map[*endpoint]bool) *endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, why := range []lack{0, silent, late} {
		for _, at := range n.all {
			if n.out[at] == why && !tried[at] {
				return at
			}
		}
	}
	return nil
}

// catchUp makes sure that a node has the block that was seen last, and waits for it. The
// only node is where it was seen. Its error is a *lateError, or of the node.
func (n *nodes) catchUp(ctx context.Context, at *endpoint, patience time.Duration) error {
	ends := time.Now().Add(patience)
	var waited error // for what, once the node was seen to be late
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		least, there := n.lacks(at)
		if there {
			return nil
		}
		has, err := at.BlockNumber(ctx)
		if err != nil && ctx.Err() != nil && waited != nil {
			return errors.Join(waited, ctx.Err())
		}
		if err != nil {
			return err
		}
		n.saw(at, has)
		if has >= least {
			return nil
		}
		waited = &lateError{has, least}
		if time.Now().Add(pause).After(ends) {
			return waited
		}
		select {
		case <-ctx.Done():
			return errors.Join(waited, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// lacks returns the block that a node must have, and whether it is known to have it.
func (n *nodes) lacks(at *endpoint) (least uint64, there bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.least, len(n.all) == 1 || n.has[at] >= n.least
}

// saw keeps the last block of a node.
func (n *nodes) saw(at *endpoint, block uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.has[at] = block
}

// limitExceeded is EIP-1474's code for a node that is asked too often.
const limitExceeded = -32005

// unreachable reports whether the node could not be asked, in contrast to an
// answer that is an error.
func unreachable(err error) bool {
	var network *url.Error
	var status rpc.HTTPError
	var garbage *json.SyntaxError
	var larger *bounds.Error
	var behind *lateError
	var refused rpc.Error
	limited := errors.As(err, &refused) && refused.ErrorCode() == limitExceeded
	return limited || errors.As(err, &behind) || errors.As(err, &larger) || errors.As(err, &network) || errors.As(err, &status) || errors.As(err, &garbage) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// unanswered is unreachable for an error whose cause shows no address any more.
func unanswered(err error) bool {
	var failed *RPCError
	var refused rpc.Error
	return errors.As(err, &failed) && !errors.As(err, &refused)
}

// reader is what go-ethereum's contracts ask.
type reader struct{ *nodes }

// CodeAt implements bind.ContractCaller.
func (r reader) CodeAt(ctx context.Context, contract common.Address, block *big.Int) ([]byte, error) {
	return ask(ctx, r.nodes, func(n *ethclient.Client) ([]byte, error) { return n.CodeAt(ctx, contract, block) })
}

// CallContract implements bind.ContractCaller.
func (r reader) CallContract(ctx context.Context, call ethereum.CallMsg, block *big.Int) ([]byte, error) {
	return ask(ctx, r.nodes, func(n *ethclient.Client) ([]byte, error) { return n.CallContract(ctx, call, block) })
}
