package workerpool

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// volume of an order. One of which less than a tenth is left is replaced.
const volume = 1000

// trust is the most that the pool gives: one worker's word, as deals in an enclave have it.
const trust = 1

// offered is an order that is on the market.
type offered struct {
	terms terms
	hash  common.Hash
}

// openOrders publishes an order for each line of the price list.
func (p *Pool) openOrders(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.priceList() {
		hash, err := p.offer(ctx, t)
		if err != nil {
			return err
		}
		p.orders = append(p.orders, offered{t, hash})
	}
	return nil
}

// refresh replaces the orders that are nearly used up.
func (p *Pool) refresh(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, order := range p.orders {
		consumed, err := read[*big.Int](ctx, p.node, p.node.Hub, "viewConsumed", order.hash)
		if err == nil && consumed.Cmp(big.NewInt(volume-volume/10)) >= 0 {
			p.orders[i].hash, err = p.offer(ctx, order.terms)
		}
		if err != nil {
			return fmt.Errorf("replacing order %s: %w", order.hash, err)
		}
	}
	return nil
}

// offer signs an order, publishes it, and returns its hash.
func (p *Pool) offer(ctx context.Context, t terms) (common.Hash, error) {
	order := poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{
		Workerpool: p.Address, WorkerpoolPrice: big.NewInt(t.price), Volume: big.NewInt(volume), Tag: t.tag,
		Category: new(big.Int).SetUint64(t.category), Trust: big.NewInt(trust),
	}}
	rand.Read(order.Salt[:]) // never fails
	hash := order.Hash(p.domain())
	var err error
	if order.Sign, err = p.signHash(hash); err != nil {
		return hash, err
	}
	return hash, p.publish(ctx, order)
}

func (p *Pool) domain() poco.Domain { return poco.Domain{ChainID: p.node.ID, Hub: p.node.Hub} }

func (p *Pool) signHash(hash common.Hash) ([]byte, error) {
	signature, err := crypto.Sign(hash[:], p.scheduler.key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signature[crypto.RecoveryIDOffset] += 27
	return signature, nil
}

// publish puts an order on the market, with the market's challenge signed.
func (p *Pool) publish(ctx context.Context, order poco.SignedWorkerpoolOrder) error {
	var challenge struct {
		Data struct{ Message struct{ Challenge string } }
	}
	path := fmt.Sprintf("/challenge?chainId=%d&address=%s", p.node.ID, p.scheduler.address)
	if err := p.ask(ctx, http.MethodGet, path, "", nil, &challenge); err != nil {
		return err
	}
	digest := poco.ChallengeHash(p.node.ID, challenge.Data.Message.Challenge)
	signature, err := p.signHash(digest)
	if err != nil {
		return err
	}
	authorization := fmt.Sprintf("%s_%s_%s", digest, hexutil.Encode(signature), p.scheduler.address)
	body := struct {
		Order poco.SignedWorkerpoolOrder `json:"order"`
	}{order}
	return p.ask(ctx, http.MethodPost, fmt.Sprintf("/workerpoolorders?chainId=%d", p.node.ID), authorization, body, &struct{}{})
}

// ask makes a request of the market. It does not go through the network, where what is
// ordered to fail is meant for others.
func (p *Pool) ask(ctx context.Context, method, path, authorization string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("making request: %w", err)
	}
	req.RemoteAddr = "workerpool:0"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", authorization)
	a := &answer{header: http.Header{}}
	p.o.Market.ServeHTTP(a, req)
	if a.status != http.StatusOK {
		return fmt.Errorf("asking market: %d: %s", a.status, &a.body)
	}
	if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
		return fmt.Errorf("parsing answer of market: %w", err)
	}
	return nil
}

// answer is what a handler answered.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answer) WriteHeader(status int)      { a.status = status }
