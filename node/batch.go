package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/mrelease/mrelease/bounds"
)

// Question is a read-only call that is asked together with others.
type Question struct {
	Contract Contract
	Method   string
	Args     []any

	out   []any
	err   error
	alone func() ([]any, error) // asks it alone; nil: it is answered
}

// Answer returns the one value that a question was answered with. Error: that of [Call].
func Answer[T any](q *Question) (T, error) {
	if q.alone != nil {
		q.out, q.err = q.alone()
		q.alone = nil
	}
	if q.err != nil {
		var zero T
		return zero, q.err
	}
	return *abi.ConvertType(q.out[0], new(T)).(*T), nil
}

// company is how many questions are asked in one request: nodes take a hundred, and what they
// answer to as many is far below bounds.RPCAnswer.
const company = 100

// Ask asks several questions together, a hundred in a request; each has its own answer or
// error. What a node does not answer in company, it is asked alone once the answer is wanted,
// and a node that takes no such requests is asked one question after the other.
func (c *Client) Ask(ctx context.Context, questions ...*Question) {
	for some := range slices.Chunk(questions, company) {
		c.askTogether(ctx, some)
	}
}

func (c *Client) askTogether(ctx context.Context, questions []*Question) {
	elements := make([]rpc.BatchElem, len(questions))
	for i, q := range questions {
		elements[i] = q.element(c)
	}
	err := c.together(ctx, elements)
	for i, q := range questions {
		if err != nil {
			q.err = c.rpcError("calling "+q.Method, err)
			continue
		}
		q.read(ctx, c, elements[i])
	}
}

// element is a question among others.
func (q *Question) element(c *Client) rpc.BatchElem {
	input, _ := q.Contract.ABI.Pack(q.Method, q.Args...) // a question alone tells what is wrong with it
	return rpc.BatchElem{Method: "eth_call", Args: []any{c.message(q.Contract.Address, input), c.asOf()}, Result: new(hexutil.Bytes)}
}

// read takes an answer. A call that failed, or that nothing answers, is made again: so what
// is wrong is told as it is of a call alone.
func (q *Question) read(ctx context.Context, c *Client, e rpc.BatchElem) {
	answer := *e.Result.(*hexutil.Bytes)
	if e.Error == nil && len(answer) > 0 {
		if q.out, q.err = q.Contract.ABI.Unpack(q.Method, answer); q.err == nil && len(q.out) > 0 {
			return
		}
	}
	q.out, q.err = nil, nil
	q.alone = func() ([]any, error) { return c.Read(ctx, q.Contract, q.Method, q.Args...) }
}

// message is a read-only call as nodes take it, and as a call alone is written.
func (c *Client) message(to common.Address, input []byte) map[string]any {
	return map[string]any{"from": c.caller, "to": to, "input": hexutil.Bytes(input)}
}

// errAlone is of an element that has to be asked alone.
var errAlone = errors.New("not answered in company")

// together sends all elements in one request to one node. Its error is that of the request.
// Where a node does not take such a request, each element says so.
func (c *Client) together(ctx context.Context, elements []rpc.BatchElem) error {
	if len(elements) == 1 { // as a call alone
		elements[0].Error = errAlone
		return nil
	}
	_, err := ask(ctx, c.nodes, func(n *ethclient.Client) (struct{}, error) {
		err := n.Client().BatchCallContext(ctx, elements)
		if err == nil {
			err = limitIn(elements)
		}
		if !refusesBatches(err) {
			return struct{}{}, err
		}
		for i := range elements {
			elements[i].Error = errAlone
		}
		return struct{}{}, nil
	})
	return err
}

// limitIn returns the error of an element that says that the node is asked too often: then
// another node is, as for a call alone.
func limitIn(elements []rpc.BatchElem) error {
	for _, e := range elements {
		var refused rpc.Error
		if errors.As(e.Error, &refused) && refused.ErrorCode() == limitExceeded {
			return e.Error
		}
	}
	return nil
}

// refusesBatches tells a node that was reached and does not take several calls in a request,
// or answers them with more than is read at once.
func refusesBatches(err error) bool {
	var status rpc.HTTPError
	var single *json.UnmarshalTypeError
	var larger *bounds.Error
	switch {
	case errors.As(err, &status):
		return status.StatusCode != http.StatusTooManyRequests && (status.StatusCode < 500 || status.StatusCode == http.StatusNotImplemented)
	case errors.As(err, &single):
		return true
	}
	return errors.As(err, &larger)
}

// checkTogether asks one node for what is compared with the profile; what the hub does not
// answer in company is nil. Errors: those of [Client.checkNode].
func (c *Client) checkTogether(ctx context.Context) (id hexutil.Big, domain, registry []any, err error) {
	named, register := &Question{Contract: c.HubContract(), Method: "domain"}, &Question{Contract: c.HubContract(), Method: "appregistry"}
	elements := []rpc.BatchElem{{Method: "eth_chainId", Result: &id}, named.element(c), register.element(c)}
	const act = "asking for the chain id"
	if err := c.together(ctx, elements); err != nil {
		return id, nil, nil, c.rpcError(act, err)
	}
	named.read(ctx, c, elements[1])
	register.read(ctx, c, elements[2])
	return id, named.out, register.out, c.rest(ctx, act, elements[:1])
}

// rest asks alone for what was not answered in company. Error: *RPCError.
func (c *Client) rest(ctx context.Context, act string, elements []rpc.BatchElem) error {
	for _, e := range elements {
		if e.Error == nil {
			continue
		}
		_, err := ask(ctx, c.nodes, func(n *ethclient.Client) (struct{}, error) {
			return struct{}{}, n.Client().CallContext(ctx, e.Result, e.Method, e.Args...)
		})
		if err != nil {
			return c.rpcError(act, err)
		}
	}
	return nil
}
