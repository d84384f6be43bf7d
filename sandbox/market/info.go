package market

import (
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// metrics counts the open orders.
func (s *Server) metrics(r *http.Request) (object, error) {
	b, err := s.book(r.URL.Query())
	if err != nil {
		return nil, err
	}
	block, err := b.client.BlockNumber(r.Context())
	if err != nil {
		return nil, fmt.Errorf("asking for the last block: %w", err)
	}
	answer := object{{"lastBlock", block}, {"checkpointBlock", block}}
	for _, k := range kinds() {
		list, err := b.openEntries(r.Context(), k)
		if err != nil {
			return nil, err
		}
		answer = append(answer, member{k.name + "s", len(list)})
	}
	return answer, nil
}

// categories lists the hub's categories: how long a task may take.
func (s *Server) categories(r *http.Request) (object, error) {
	b, skip, limit, err := s.paged(r.URL.Query())
	if err != nil {
		return nil, err
	}
	count, err := ask[*big.Int](r.Context(), b.hub, b.address, "countCategory")
	if err != nil {
		return nil, err
	}
	type category struct {
		Name, Description string
		WorkClockTimeRef  *big.Int
	}
	var all []object
	for id := range count.Int64() {
		c, err := ask[category](r.Context(), b.hub, b.address, "viewCategory", big.NewInt(id))
		if err != nil {
			return nil, err
		}
		all = append(all, object{
			{"catid", id}, {"chainId", b.id}, {"name", c.Name}, {"description", c.Description}, {"workClockTimeRef", c.WorkClockTimeRef},
		})
	}
	return answerPage("categories", all, skip, limit, func(o object) object { return o }), nil
}

// deals lists the deals that were made, newest first: which orders were matched,
// without their prices and owners.
func (s *Server) deals(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, skip, limit, err := s.paged(q)
	if err != nil {
		return nil, err
	}
	logs, err := b.logs(r.Context(), "OrdersMatched(bytes32,bytes32,bytes32,bytes32,bytes32,uint256)")
	if err != nil {
		return nil, err
	}
	var all []object
	for i := len(logs) - 1; i >= 0; i-- {
		word := func(n int) common.Hash { return common.BytesToHash(logs[i].Data[32*n : 32*n+32]) }
		deal := object{{"dealid", word(0)}, {"chainId", b.id}}
		wanted := true
		for n, k := range kinds() {
			deal = append(deal, member{strings.TrimSuffix(k.name, "order") + "Hash", word(1 + n)})
			hash := q.Get(k.name + "Hash")
			wanted = wanted && (hash == "" || common.HexToHash(hash) == word(1+n))
		}
		if wanted {
			all = append(all, append(deal, member{"volume", word(5).Big()}, member{"blockNumber", logs[i].BlockNumber}, member{"transactionHash", logs[i].TxHash}))
		}
	}
	return answerPage("deals", all, skip, limit, func(o object) object { return o }), nil
}

// paged reads the chain and the page of a list.
func (s *Server) paged(q url.Values) (*book, int, int, error) {
	b, err := s.book(q)
	if err != nil {
		return nil, 0, 0, err
	}
	skip, limit, err := page(q)
	return b, skip, limit, err
}
