package apps

import (
	"context"
	"fmt"
	"iter"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// chunk is how many apps are read at the same time: with six fields each that is two
// requests, one for their addresses and one for what they are.
const chunk = 16

// Owned returns the apps of an owner, as the registry enumerates them: an app that was
// made is added at the end, so the newest come first, but one that was given away lets
// the last one take its place. It reads as far as it is asked to go on, and most of them at
// most.
//
// Errors: *node.RPCError, with the address of an app that could not be read and of nothing
// else; without an address it is the last one: also *bounds.Error beyond most.
func Owned(ctx context.Context, c *node.Client, owner common.Address, most int64) iter.Seq2[Registration, error] {
	return func(yield func(Registration, error) bool) {
		number, err := node.Call[*big.Int](ctx, c, registry(c), "balanceOf", owner)
		beyond := &bounds.Error{Where: c.Name, What: "the number of apps of " + owner.Hex(), Most: fmt.Sprint(most), Got: fmt.Sprint(number)}
		if err == nil && !number.IsInt64() { // no registry has so many: nothing of it is a fact
			err = beyond
		}
		if err != nil {
			yield(Registration{}, err)
			return
		}
		for end := number.Int64(); end > 0; end -= chunk {
			left := most - (number.Int64() - end)
			if left <= 0 {
				yield(Registration{}, beyond)
				return
			}
			if !yieldChunk(ctx, c, owner, max(0, end-min(chunk, left)), end, yield) {
				return
			}
		}
	}
}

// yieldChunk yields the apps of an owner from one place up to another, the last one first,
// and tells whether to go on.
func yieldChunk(ctx context.Context, c *node.Client, owner common.Address, from, to int64, yield func(Registration, error) bool) bool {
	places := make([]*node.Question, to-from)
	for i := range places {
		places[i] = &node.Question{Contract: registry(c), Method: "tokenOfOwnerByIndex", Args: []any{owner, big.NewInt(to - 1 - int64(i))}}
	}
	c.Ask(ctx, places...)
	addresses, all := make([]common.Address, len(places)), make([]*fields, len(places))
	var asked []*node.Question
	for i, place := range places {
		token, err := node.Answer[*big.Int](place)
		if err != nil {
			yield(Registration{}, err)
			return false
		}
		addresses[i] = common.BigToAddress(token)
		all[i] = newFields(addresses[i])
		asked = append(asked, all[i].asked...)
	}
	c.Ask(ctx, asked...)
	for i, f := range all {
		app, err := f.read()
		if !yield(Registration{App: app, Address: addresses[i]}, err) {
			return false
		}
	}
	return true
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
