package publishtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/world"
)

// proven is the proof of a release on a chain.
func proven(t *testing.T, p published) (proof.Chain, proof.Claim, proof.Facts) {
	t.Helper()
	c := connect(t, p.profile)
	claim := proof.Claim{Domain: p.Domain(), App: common.Address(p.App.Address), Order: p.Order.Hash}
	app, err := apps.Read(t.Context(), c, claim.App)
	if err != nil {
		t.Fatal(err)
	}
	made, facts, err := node.Prove(t.Context(), c, claim, app)
	if err != nil {
		t.Fatal(err)
	}
	return made, claim, facts
}

// What both releases of the contracts store is proven, long texts and short ones, and what
// was sold of an order.
func TestProof(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			for _, name := range []string{"p", "proven-" + strings.Repeat("long", 20)} {
				p := publishRelease(t, w, c, name, fmt.Sprint(c.ID))
				made, claim, facts := proven(t, p)
				if !facts.App.Equal(p.OnChain()) || facts.Registry != c.AppRegistry || facts.Sold.Sign() != 0 {
					t.Errorf("proven: %+v, sold %s", facts.App, facts.Sold)
				}
				head, err := c.Client.HeaderByNumber(t.Context(), nil)
				if err != nil || head.Hash() != facts.Block.Hash || head.Time != uint64(facts.Block.Time.Unix()) {
					t.Errorf("block %s, %v, the chain's is %s", facts.Block, err, head.Hash())
				}
				if _, err := node.Close(t.Context(), connect(t, p.profile), p.owner, p.Order.Signed.AppOrder); err != nil {
					t.Fatal(err)
				}
				if _, _, after := proven(t, p); after.Sold.Cmp(p.Order.Signed.Volume) != 0 || after.Block.Number <= facts.Block.Number {
					t.Errorf("closed: sold %s", after.Sold)
				}
				if before, err := made.Check(claim); err != nil || before.Sold.Sign() != 0 {
					t.Errorf("at the block of before: %v", err)
				}
			}
		})
	}
}

func TestAttackProof(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p, q := publishRelease(t, w, w.V6, "shown", "1.0.0"), publishRelease(t, w, w.V6, "other", "1.0.0")
	foreign := publishRelease(t, w, w.V5, "foreign", "1.0.0")
	older, claim, _ := proven(t, p)
	if _, err := node.Close(t.Context(), connect(t, p.profile), p.owner, p.Order.Signed.AppOrder); err != nil {
		t.Fatal(err)
	}
	made, _, _ := proven(t, p)
	others, otherClaim, _ := proven(t, q)
	abroad, abroadClaim, _ := proven(t, foreign)
	for name, forge := range map[string]func(*proof.Chain, *proof.Claim){
		"of another app":                    func(c *proof.Chain, _ *proof.Claim) { *c = others },
		"of another app, named as this one": func(c *proof.Chain, _ *proof.Claim) { *c = others; c.App.Address = claim.App },
		"of another app's storage":          func(c *proof.Chain, _ *proof.Claim) { c.App.Storage = others.App.Storage },
		"the order is another's":            func(c *proof.Chain, claim *proof.Claim) { claim.Order = otherClaim.Order },
		"of another block's state":          func(c *proof.Chain, _ *proof.Claim) { c.Header = older.Header },
		"the hub of another block":          func(c *proof.Chain, _ *proof.Claim) { c.Hub = older.Hub },
		"of the hub of another chain":       func(c *proof.Chain, _ *proof.Claim) { *c = abroad },
		"all of another chain, for its app": func(c *proof.Chain, claim *proof.Claim) {
			*c = abroad
			claim.App, claim.Order = abroadClaim.App, abroadClaim.Order
		},
		"for another chain id":              func(_ *proof.Chain, claim *proof.Claim) { claim.Domain.ChainID = 134 },
		"for another hub":                   func(_ *proof.Chain, claim *proof.Claim) { claim.Domain.Hub = abroadClaim.Domain.Hub },
		"another registry":                  func(c *proof.Chain, _ *proof.Claim) { c.Registry.Address = abroad.Registry.Address },
		"no header":                         func(c *proof.Chain, _ *proof.Claim) { c.Header = nil },
		"a header with a byte changed":      func(c *proof.Chain, _ *proof.Claim) { c.Header = slices.Clone(c.Header); c.Header[100] ^= 1 },
		"a header with something behind it": func(c *proof.Chain, _ *proof.Claim) { c.Header = append(slices.Clone(c.Header), 0) },
		"a header without end":              func(c *proof.Chain, _ *proof.Claim) { c.Header = make([]byte, bounds.Header+1) },
		"no nodes":                          func(c *proof.Chain, _ *proof.Claim) { c.App.Proof = nil },
		"a node with a byte changed": func(c *proof.Chain, _ *proof.Claim) {
			c.App.Proof[0] = slices.Clone(c.App.Proof[0])
			c.App.Proof[0][9] ^= 1
		},
		"a huge node": func(c *proof.Chain, _ *proof.Claim) {
			c.App.Proof = append(c.App.Proof, make([]byte, bounds.ProofNode+1))
		},
		"10,000 nodes":                      func(c *proof.Chain, _ *proof.Claim) { c.App.Proof = slices.Repeat(c.App.Proof, 10_000) },
		"10,000 words":                      func(c *proof.Chain, _ *proof.Claim) { c.App.Storage = slices.Repeat(c.App.Storage, 10_000) },
		"a word is left out":                func(c *proof.Chain, _ *proof.Claim) { c.App.Storage = c.App.Storage[:3] },
		"the registry's words are left out": func(c *proof.Chain, _ *proof.Claim) { c.Registry.Storage = nil },
		"a word in another's place":         func(c *proof.Chain, _ *proof.Claim) { c.App.Storage[1].Key = c.App.Storage[2].Key },
		"an embedded node of a thousand levels": func(c *proof.Chain, _ *proof.Claim) {
			c.App.Proof[len(c.App.Proof)-1] = slices.Repeat([]byte{0xc1}, 1000)
		},
		"the same words twice, the second a void": func(c *proof.Chain, _ *proof.Claim) {
			c.App.Storage = append(c.App.Storage, proof.Slot{Key: c.App.Storage[1].Key})
		},
	} {
		t.Run(name, func(t *testing.T) {
			forged, about := copied(t, made), claim
			forge(&forged, &about)
			f, err := forged.Check(about)
			var wrong *proof.Error
			if !errors.As(err, &wrong) {
				t.Errorf("it proves %+v, %v", f, err)
			}
		})
	}
	if _, err := made.Check(claim); err != nil {
		t.Errorf("as it was made: %v", err)
	}
}

func copied(t *testing.T, p proof.Chain) (c proof.Chain) {
	t.Helper()
	text, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
