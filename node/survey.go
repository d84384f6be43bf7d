package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/ethclient"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/internal/redact"
)

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
// second, and chains that seal one when there is something in it. A block may be as many
// seconds later than this machine's time.
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

// look asks one node, once it has the block that was seen last.
func (n *nodes) look(ctx context.Context, at *endpoint, account common.Address, several bool) (v view) {
	v.at = at
	if v.err = n.catchUp(ctx, at, moment); v.err != nil {
		return v
	}
	// First those that wait: of one that gets into a block in between, the second answer knows.
	if v.pending, v.err = at.PendingNonceAt(ctx, account); v.err == nil {
		v.mined, v.err = at.NonceAt(ctx, account, nil)
	}
	if several && v.err == nil { // last: what is in blocks is in this one, or before it
		v.head, v.err = readBlock(ctx, at.Client, "latest")
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
			views[i] = c.nodes.look(ctx, at, account, len(views) > 1)
			return nil
		})
	}
	_ = group.Wait() // each view has its own error
	views, err = c.siftOut(ctx, views)
	if err != nil {
		return 0, 0, err
	}
	if err := c.agree(ctx, views); err != nil {
		return 0, 0, err
	}
	for _, v := range views {
		pending = max(pending, v.pending)
	}
	if len(c.nodes.all) > 1 { // what they agree on is in this block, which who is asked later must have
		c.nodes.reached(lowest(views))
	}
	return views[0].mined, pending, nil
}

// lowest is the block that all of several nodes have.
func lowest(views []view) uint64 {
	low := views[0].head.Number
	for _, v := range views {
		low = min(low, v.head.Number)
	}
	return uint64(low)
}

// siftOut leaves out nodes that do not answer, are behind, or say that they are ahead and
// do not show it, and takes in those that no longer are.
func (c *Client) siftOut(ctx context.Context, views []view) (rest []view, err error) {
	furthest, doubted := c.furthest(ctx, views)
	if furthest.at == nil {
		failed := views[0]
		if i := slices.IndexFunc(views, view.isLate); i >= 0 { // which passes
			failed = views[i]
		}
		return nil, &RPCError{failed.at.url, "asking for the wallet's transactions", redact.Error(failed.err)}
	}
	c.nodes.takeIn(furthest.at)
	for _, v := range views {
		switch {
		case v.err != nil:
			c.nodes.leaveOutFor(v.at, v.err)
		case doubted[v.at] != nil:
			c.nodes.leaveOut(v.at, late, doubted[v.at].Error())
		case v.behind(furthest):
			c.nodes.leaveOut(v.at, late, fmt.Sprintf("is at block %d, and %s at %d", v.head.Number, furthest.at.url, furthest.head.Number))
		default:
			c.nodes.takeIn(v.at)
			rest = append(rest, v)
		}
	}
	return rest, nil
}

// furthest is the view by which the others are told to be behind, and which ones are not
// taken for that, and why. A node that would leave others out has to show that it is ahead:
// one that is wrong, or lies, would be the only one left.
func (c *Client) furthest(ctx context.Context, views []view) (furthest view, doubted map[*endpoint]error) {
	answered := slices.DeleteFunc(slices.Clone(views), func(v view) bool { return v.err != nil })
	slices.SortStableFunc(answered, func(a, b view) int { return cmp.Compare(b.number(), a.number()) })
	doubted = map[*endpoint]error{}
	for i, v := range answered {
		leaves := slices.ContainsFunc(answered[i+1:], func(other view) bool { return other.behind(v) })
		if leaves {
			doubted[v.at] = c.show(ctx, v)
		}
		if doubted[v.at] == nil {
			return v, doubted
		}
	}
	return view{}, nil
}

// show has a node show the last block that it told of: it must not be of a time to come,
// and be there by its number. Behind an address may be several nodes, of which one has it
// later.
func (c *Client) show(ctx context.Context, v view) error {
	at := time.Unix(int64(min(v.head.Time, math.MaxInt64)), 0)
	if time.Until(at) > behindSeconds*time.Second {
		return fmt.Errorf("says that it is at block %d of %s, which is to come", v.head.Number, at.UTC().Format(time.RFC3339))
	}
	limited, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	for {
		b, err := readBlock(limited, v.at.Client, hexutil.EncodeUint64(uint64(v.head.Number)))
		if err == nil && b.Number == v.head.Number {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("says that it is at block %d, and does not have it", v.head.Number)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// number is that of the last block; 0 of a node that was not asked.
func (v view) number() hexutil.Uint64 {
	if v.head == nil {
		return 0
	}
	return v.head.Number
}

// isLate reports whether the node lacks the block that was seen last.
func (v view) isLate() bool {
	var behind *lateError
	return errors.As(v.err, &behind)
}

// behind reports whether a node is too far behind another one, of whose time no more counts
// than has passed: else one that says the latest time that is taken would leave out who is
// of this minute.
func (v view) behind(furthest view) bool {
	if v.head == nil || furthest.head == nil { // the only node is not asked
		return false
	}
	latest := min(furthest.head.Time, hexutil.Uint64(time.Now().Unix()))
	return v.head.Number+behindBlocks < furthest.head.Number && v.head.Time+behindSeconds < latest
}

// agree compares what the nodes say: the block that all of them have, and the account's
// transactions in blocks.
func (c *Client) agree(ctx context.Context, views []view) error {
	if len(views) < 2 {
		return nil
	}
	low := lowest(views)
	hashes, nonces := make([]string, len(views)), make([]string, len(views))
	for i, v := range views {
		b, err := readBlock(ctx, v.at.Client, hexutil.EncodeUint64(low))
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
