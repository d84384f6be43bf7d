package proof

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// A header's hash is the one that go-ethereum computes.
func TestBlockHash(t *testing.T) {
	h := &types.Header{Difficulty: common.Big1, Number: common.Big256, Time: 5, Extra: []byte("x")}
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBlock(raw)
	if err != nil || b.Hash != h.Hash() || b.Number != 256 || b.Time.Unix() != 5 {
		t.Errorf("got %s, %v, want %s", b, err, h.Hash())
	}
}

// Nothing that anybody writes proves an app without the nodes of its block.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"header":"0xc0","hub":{"proof":["0xc180"]}}`))
	f.Add([]byte(`{"hub":{"proof":["0xd1c1c1c1c1c1"],"storage":[{"proof":["0x80"]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Chain
		if json.Unmarshal(data, &p) != nil {
			return
		}
		var wrong *Error
		for _, c := range []Claim{{}, {Order: common.Hash{1}, Presigned: true}} {
			c.Domain.ChainID = 134
			if _, err := p.Check(c); !errors.As(err, &wrong) {
				t.Errorf("%s: %v", data, err)
			}
		}
		for _, nodes := range []Nodes{p.Hub.Proof, p.App.Proof} {
			for _, n := range nodes { // as if the first of them were the root of something
				_, _ = nodes.get(common.BytesToHash(n), n)
			}
		}
	})
}
