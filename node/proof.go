package node

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
)

// Prove gets from a node the proof of a claim about an app that was verified, at the last block,
// and checks it.
//
// Errors: *RPCError, also of a node that gives no proofs; *proof.Error, also for a chain
// whose blocks' hashes are not computed as Ethereum's.
func Prove(ctx context.Context, c *Client, claim proof.Claim, app poco.App) (p proof.Chain, f proof.Facts, err error) {
	block, err := c.header(ctx, &p)
	if err != nil {
		return p, f, err
	}
	var place common.Hash
	all := []rpc.BatchElem{
		c.proves(claim.Domain.Hub, claim.HubSlots(), block),
		c.proves(claim.App, proof.AppSlots(app), block),
		{Method: "eth_getStorageAt", Args: []any{c.AppRegistry, claim.PlaceSlot(), block}, Result: &place},
	}
	if err := c.all(ctx, all); err != nil {
		return p, f, err
	}
	of := []rpc.BatchElem{c.proves(c.AppRegistry, claim.RegistrySlots(place), block)}
	if err := c.all(ctx, of); err != nil {
		return p, f, err
	}
	p.Hub, p.App, p.Registry = proven(claim.Domain.Hub, all[0]), proven(claim.App, all[1]), proven(c.AppRegistry, of[0])
	if f, err = p.Check(claim); err != nil {
		return p, f, err
	}
	if claim.Presigned && f.Presigner == nil {
		return p, f, &proof.Error{Problem: "lacks who presigned the order", Got: "no proof", Want: "a proof of that word of " + claim.Domain.Hub.Hex()}
	}
	if diff := f.App.Diff(app); len(diff) > 0 {
		return p, f, &proof.Error{Problem: "is of an app with another " + diff[0].Field + " than was verified", Got: diff[0].A, Want: diff[0].B}
	}
	return p, f, nil
}

// header puts the last block's header into a proof, and returns its number as nodes take it.
func (c *Client) header(ctx context.Context, p *proof.Chain) (number string, err error) {
	const act = "asking for the last block"
	said, err := ask(ctx, c.nodes, func(n *ethclient.Client) (raw json.RawMessage, err error) {
		return raw, n.Client().CallContext(ctx, &raw, "eth_getBlockByNumber", "latest", false)
	})
	if err != nil {
		return "", c.rpcError(act, err)
	}
	var named struct{ Hash common.Hash }
	var header *types.Header
	if err := json.Unmarshal(said, &named); err != nil {
		return "", c.rpcError(act, err)
	}
	if err := json.Unmarshal(said, &header); err != nil || header == nil {
		return "", &proof.Error{Problem: fmt.Sprintf("has no header as Ethereum's: %v", err), Got: named.Hash.Hex(), Want: "a header"}
	}
	if p.Header, err = rlp.EncodeToBytes(header); err != nil {
		return "", c.rpcError(act, err)
	}
	block, err := proof.ParseBlock(p.Header)
	if err == nil && block.Hash != named.Hash {
		err = &proof.Error{Problem: "cannot be made: the chain does not compute the hashes of its blocks as Ethereum does", Got: block.Hash.Hex(), Want: named.Hash.Hex()}
	}
	return hexutil.EncodeUint64(block.Number), err
}

// account is eth_getProof's answer.
type account struct {
	Proof   proof.Nodes `json:"accountProof"`
	Storage []struct {
		Proof proof.Nodes `json:"proof"`
	} `json:"storageProof"`
	asked []common.Hash
}

func (c *Client) proves(of common.Address, slots []common.Hash, block string) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_getProof", Args: []any{of, slots, block}, Result: &account{asked: slots}}
}

// proven is a proof as it was answered; what is missing of it is found by whoever checks it.
func proven(of common.Address, e rpc.BatchElem) proof.Account {
	a := e.Result.(*account)
	p := proof.Account{Address: of, Proof: a.Proof, Storage: []proof.Slot{}}
	for i, key := range a.asked {
		if i < len(a.Storage) {
			p.Storage = append(p.Storage, proof.Slot{Key: key, Proof: append(proof.Nodes{}, a.Storage[i].Proof...)})
		}
	}
	return p
}

// all asks for everything at once, and alone for what is not answered so. Error: *RPCError.
func (c *Client) all(ctx context.Context, elements []rpc.BatchElem) error {
	const act = "asking for proofs"
	if err := c.together(ctx, elements); err != nil {
		return c.rpcError(act, err)
	}
	return c.rest(ctx, act, elements)
}
