package market

import (
	"fmt"
	"net/http"
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
