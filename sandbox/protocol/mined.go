package protocol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
)

// Mined waits until a transaction is in a block, which takes milliseconds here, and what is
// read is the state of that block: go-ethereum stores receipts a moment before it moves its
// head, and who goes on at once reads, or estimates gas by, the state before.
func Mined(ctx context.Context, client *ethclient.Client, tx common.Hash) (*types.Receipt, error) {
	for {
		receipt, err := client.TransactionReceipt(ctx, tx)
		var head uint64
		if err == nil {
			head, err = client.BlockNumber(ctx)
		}
		switch {
		case err == nil && head >= receipt.BlockNumber.Uint64():
			return receipt, nil
		case err != nil && !errors.Is(err, ethereum.NotFound) && !strings.Contains(err.Error(), "indexing"):
			return nil, fmt.Errorf("waiting for transaction %s: %w", tx, errors.Join(err, ctx.Err()))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for transaction %s: %w", tx, ctx.Err())
		case <-time.After(3 * time.Millisecond):
		}
	}
}
