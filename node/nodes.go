package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
	"golang.org/x/sync/errgroup"

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
	all   []*endpoint        // the first that is not left out is asked
	out   map[*endpoint]lack // those that are left out, and why
	least uint64             // the block that a node must have: what was sent is in it
	tell  func(string)       // nil: what is to be told is kept
	told  []string
}

// lack is why a node is left out.
type lack int

const (
	silent lack = iota + 1 // it does not answer; when no other does, it is tried again
	late                   // it is behind the others
)

// dial makes the connections, which reaches no node yet. Error: *RPCError.
func dial(ctx context.Context, profile poco.Chain) (*nodes, error) {
	n := &nodes{out: map[*endpoint]lack{}}
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
		client := patient.Client(limit, outside.Service{Host: at.Host, Most: bounds.RPCAnswer}, nil)
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

// ask asks a node, and another one when that one cannot be asked.
func ask[T any](ctx context.Context, n *nodes, question func(*ethclient.Client) (T, error)) (T, error) {
	tried := map[*endpoint]bool{}
	for {
		at := n.next(tried)
		tried[at] = true
		answer, err := question(at.Client)
		if err == nil || !unreachable(err) {
			n.takeIn(at)
			return answer, err
		}
		n.leaveOut(at, silent, "does not answer: "+cause(err))
		n.passLate(ctx)
		if ctx.Err() != nil || n.next(tried) == nil {
			return answer, err
		}
	}
}

// next is the node to ask: the first that is used, and when all of those were tried the
// first that was silent before. It is nil when all were tried.
func (n *nodes) next(tried map[*endpoint]bool) *endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, why := range []lack{0, silent} {
		for _, at := range n.all {
			if n.out[at] == why && !tried[at] {
				return at
			}
		}
	}
	return nil
}

// passLate leaves those out that lack the block that was seen last.
func (n *nodes) passLate(ctx context.Context) {
	n.mu.Lock()
	least := n.least
	n.mu.Unlock()
	for _, at := range n.used() {
		if least == 0 {
			return // nothing was sent
		}
		if has, err := at.BlockNumber(ctx); err == nil && has < least {
			n.leaveOut(at, late, fmt.Sprintf("has %d blocks, not yet %d", has, least))
		}
	}
}

// unreachable reports whether the node could not be asked, in contrast to an
// answer that is an error.
func unreachable(err error) bool {
	var network *url.Error
	var status rpc.HTTPError
	var garbage *json.SyntaxError
	var larger *bounds.Error
	var refused rpc.Error
	limited := errors.As(err, &refused) && refused.ErrorCode() == -32005 // EIP-1474: limit exceeded
	return limited || errors.As(err, &larger) || errors.As(err, &network) || errors.As(err, &status) || errors.As(err, &garbage) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
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

// block is what is read of a block. Its hash is the node's word: chains compute it of
// more than Ethereum does.
type block struct {
	Number  hexutil.Uint64
	Hash    common.Hash
	Time    hexutil.Uint64 `json:"timestamp"`
	BaseFee *hexutil.Big   `json:"baseFeePerGas"`
}

// readBlock asks one node for a block: its number in hex digits, or latest.
func readBlock(ctx context.Context, n *ethclient.Client, which string) (*block, error) {
	var b *block
	err := n.Client().CallContext(ctx, &b, "eth_getBlockByNumber", which, false)
	if err == nil && b == nil {
		err = ethereum.NotFound
	}
	return b, err
}

// block returns a block of the chain. Error: *RPCError, also when there is none.
func (c *Client) block(ctx context.Context, number uint64) (*block, error) {
	b, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*block, error) {
		return readBlock(ctx, n, hexutil.EncodeUint64(number))
	})
	if err != nil {
		return nil, c.rpcError(fmt.Sprintf("asking for block %d", number), err)
	}
	return b, nil
}

// head returns the last block. Error: *RPCError.
func (c *Client) head(ctx context.Context) (*block, error) {
	b, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*block, error) { return readBlock(ctx, n, "latest") })
	if err != nil {
		return nil, c.rpcError("asking for the last block", err)
	}
	return b, nil
}

// What a node may be behind the one that is furthest, in blocks and in the chain's
// seconds. Only both together are too much: there are chains that seal four blocks a
// second, and chains that seal one when there is something in it.
const (
	behindBlocks  = 2
	behindSeconds = 60
)

// view is what one node says of the chain and of an account.
type view struct {
	at             *endpoint
	head           *block
	mined, pending uint64 // transactions of the account: in blocks, and with those that wait
	err            error
}

func look(ctx context.Context, at *endpoint, account common.Address, several bool) (v view) {
	v.at = at
	if several {
		if v.head, v.err = readBlock(ctx, at.Client, "latest"); v.err != nil {
			return v
		}
	}
	// First those that wait: of one that gets into a block in between, the second answer knows.
	if v.pending, v.err = at.PendingNonceAt(ctx, account); v.err == nil {
		v.mined, v.err = at.NonceAt(ctx, account, nil)
	}
	return v
}

// survey asks all nodes how many transactions of an account are in blocks, and how many
// with those that wait. Nodes that are behind, or do not answer, are left out; the rest
// must be of one mind. Errors: *RPCError; *WrongChainError when they are not, which may
// pass.
func (c *Client) survey(ctx context.Context, account common.Address) (mined, pending uint64, err error) {
	views := make([]view, len(c.nodes.all))
	var group errgroup.Group
	for i, at := range c.nodes.all {
		group.Go(func() error {
			views[i] = look(ctx, at, account, len(views) > 1)
			return nil
		})
	}
	_ = group.Wait() // each view has its own error
	views, err = c.siftOut(views)
	if err != nil {
		return 0, 0, err
	}
	if err := c.agree(ctx, views); err != nil {
		return 0, 0, err
	}
	for _, v := range views {
		pending = max(pending, v.pending)
	}
	return views[0].mined, pending, nil
}

// siftOut leaves out nodes that do not answer or are behind, and takes in those that no
// longer are.
func (c *Client) siftOut(views []view) (rest []view, err error) {
	var furthest view
	for _, v := range views {
		if v.err == nil && (furthest.at == nil || v.head != nil && v.head.Number > furthest.head.Number) {
			furthest = v
		}
	}
	if furthest.at == nil {
		return nil, &RPCError{views[0].at.url, "asking for the wallet's transactions", redact.Error(views[0].err)}
	}
	c.nodes.takeIn(furthest.at)
	for _, v := range views {
		switch {
		case v.err != nil:
			c.nodes.leaveOut(v.at, silent, "does not answer: "+cause(v.err))
		case v.behind(furthest):
			c.nodes.leaveOut(v.at, late, fmt.Sprintf("is at block %d, and %s at %d", v.head.Number, furthest.at.url, furthest.head.Number))
		default:
			c.nodes.takeIn(v.at)
			rest = append(rest, v)
		}
	}
	return rest, nil
}

func (v view) behind(furthest view) bool {
	return v.head != nil && v.head.Number+behindBlocks < furthest.head.Number && v.head.Time+behindSeconds < furthest.head.Time
}

// agree compares what the nodes say: the block that all of them have, and the account's
// transactions in blocks.
func (c *Client) agree(ctx context.Context, views []view) error {
	if len(views) < 2 {
		return nil
	}
	low := views[0].head.Number
	for _, v := range views {
		low = min(low, v.head.Number)
	}
	hashes, nonces := make([]string, len(views)), make([]string, len(views))
	for i, v := range views {
		b, err := readBlock(ctx, v.at.Client, low.String())
		if err != nil {
			return &RPCError{v.at.url, fmt.Sprintf("asking for block %d", low), redact.Error(err)}
		}
		hashes[i], nonces[i] = b.Hash.Hex(), fmt.Sprint(v.mined)
	}
	if err := same(fmt.Sprintf("block %d", low), views, hashes); err != nil {
		return err
	}
	return same("number of the wallet's transactions in blocks", views, nonces)
}

// same compares what several nodes say of one thing.
func same(what string, views []view, said []string) error {
	if len(slices.Compact(slices.Sorted(slices.Values(said)))) == 1 {
		return nil
	}
	var words, urls []string
	for i, v := range views {
		words, urls = append(words, said[i]+" at "+v.at.url), append(urls, v.at.url)
	}
	return &WrongChainError{what, strings.Join(words, ", "), "the same from each node", strings.Join(urls, ", ")}
}
