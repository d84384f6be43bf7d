package market

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// event says which event of the chain told of something.
type event struct {
	block uint64
	time  string
	tx    common.Hash
}

// when reads in which block an event is, and when that was made.
func (h *hub) when(ctx context.Context, l types.Log) (event, error) {
	header, err := h.client.HeaderByHash(ctx, l.BlockHash)
	if err != nil {
		return event{}, fmt.Errorf("reading block %d: %w", l.BlockNumber, err)
	}
	return event{l.BlockNumber, timestamp(time.Unix(int64(header.Time), 0)), l.TxHash}, nil
}

// watch reads the deals and categories of the blocks that are new since it was called
// last, as the real market's watcher does; unless the market lags.
func (b *book) watch(ctx context.Context) error {
	if b.behind {
		return nil
	}
	last, err := b.client.BlockNumber(ctx)
	if err != nil {
		return fmt.Errorf("asking for the last block: %w", err)
	}
	if last < b.unwatched {
		return nil
	}
	made, err := readEvents(ctx, b, last, "OrdersMatched(bytes32,bytes32,bytes32,bytes32,bytes32,uint256)", b.readDeal)
	if err != nil {
		return err
	}
	created, err := readEvents(ctx, b, last, "CreateCategory(uint256,string,string,uint256)", b.readCategory)
	if err != nil {
		return err
	}
	b.made, b.created, b.unwatched = append(b.made, made...), append(b.created, created...), last+1
	return nil
}

// readEvents reads what the hub's events of a signature tell of, up to a block.
func readEvents[T any](ctx context.Context, b *book, last uint64, signature string, read func(context.Context, types.Log) (T, error)) ([]T, error) {
	logs, err := b.logs(ctx, signature, b.unwatched, new(big.Int).SetUint64(last))
	if err != nil {
		return nil, err
	}
	var list []T
	for _, l := range logs {
		item, err := read(ctx, l)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}
