package apps

import (
	"context"
	"fmt"
	"iter"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// chunk is how many apps are read at the same time, with six requests each.
const chunk = 16

// Owned returns the apps of an owner, as the registry enumerates them: an app that was
// made is added at the end, so the newest come first, but one that was given away lets
// the last one take its place. It reads as far as it is asked to go on.
//
// Errors: *node.RPCError; *bounds.Error beyond bounds.Apps.
func Owned(ctx context.Context, c *node.Client, owner common.Address) iter.Seq2[Registration, error] {
	return func(yield func(Registration, error) bool) {
		number, err := node.Call[*big.Int](ctx, c, registry(c), "balanceOf", owner)
		if err != nil {
			yield(Registration{}, err)
			return
		}
		for end := number.Int64(); end > 0; end -= chunk {
			if number.Int64()-end >= bounds.Apps {
				yield(Registration{}, &bounds.Error{Where: c.Name, What: "the number of apps of " + owner.Hex(), Most: fmt.Sprint(bounds.Apps), Got: number.String()})
				return
			}
			found, err := readChunk(ctx, c, owner, max(0, end-chunk), end)
			if err != nil {
				yield(Registration{}, err)
				return
			}
			for _, app := range found {
				if !yield(app, nil) {
					return
				}
			}
		}
	}
}

// readChunk reads the apps of an owner from one place up to another, the last one first.
func readChunk(ctx context.Context, c *node.Client, owner common.Address, from, to int64) ([]Registration, error) {
	found := make([]Registration, to-from)
	group, ctx := errgroup.WithContext(ctx)
	for i := range found {
		group.Go(func() error {
			token, err := node.Call[*big.Int](ctx, c, registry(c), "tokenOfOwnerByIndex", owner, big.NewInt(to-1-int64(i)))
			if err != nil {
				return err
			}
			found[i].Address = common.BigToAddress(token)
			found[i].App, err = readFields(ctx, c, found[i].Address)
			return err
		})
	}
	return found, group.Wait()
}

// Version is the version that an app is the release of: the tag of its image. It is empty
// for an app whose multiaddr names none, which mrelease did not make.
func Version(app poco.App) string {
	reference := string(app.Multiaddr)
	slash, colon := strings.LastIndexByte(reference, '/'), strings.LastIndexByte(reference, ':')
	if colon <= slash || strings.Contains(reference, "@") {
		return ""
	}
	return reference[colon+1:]
}
