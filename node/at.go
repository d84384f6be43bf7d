package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// Block is a block of the chain, as a node says.
type Block struct {
	Number uint64
	Hash   common.Hash
	Time   time.Time // UTC, in seconds
}

func (b Block) String() string {
	return fmt.Sprintf("block %d (%s) of %s", b.Number, b.Hash, b.Time.Format(time.RFC3339))
}

// lastSecond is the last one of the year 9999, beyond which no time can be written down.
const lastSecond = 253_402_300_799

// AtHead returns a client whose calls are answered as of the chain's last block, whatever
// comes after it: all that is read with it is of one moment. The block is named by its hash
// (EIP-1898), so a node from which it went, or that keeps its state no more, answers with an
// error and not as of another one. It is for reading only. Error: *RPCError.
func (c *Client) AtHead(ctx context.Context) (*Client, Block, error) {
	last, err := c.head(ctx)
	if err != nil {
		return nil, Block{}, err
	}
	c.nodes.reached(uint64(last.Number)) // each that is asked must have it
	b := Block{uint64(last.Number), last.Hash, time.Unix(int64(min(last.Time, lastSecond)), 0).UTC()}
	return &Client{Chain: c.Chain, Patience: c.Patience, nodes: c.nodes, caller: c.caller, at: b.Hash}, b, nil
}

// asOf is the block that is asked about, as nodes take it.
func (c *Client) asOf() any {
	if c.at == (common.Hash{}) {
		return "latest"
	}
	return map[string]any{"blockHash": c.at}
}

// CodeAtHash implements bind.BlockHashContractCaller.
func (r reader) CodeAtHash(ctx context.Context, contract common.Address, block common.Hash) ([]byte, error) {
	return ask(ctx, r.nodes, func(n *ethclient.Client) ([]byte, error) { return n.CodeAtHash(ctx, contract, block) })
}

// CallContractAtHash implements bind.BlockHashContractCaller.
func (r reader) CallContractAtHash(ctx context.Context, call ethereum.CallMsg, block common.Hash) ([]byte, error) {
	return ask(ctx, r.nodes, func(n *ethclient.Client) ([]byte, error) { return n.CallContractAtHash(ctx, call, block) })
}

var _ bind.BlockHashContractCaller = reader{}
