package market

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// deal is what the hub keeps of a deal, and the event that told of it.
type deal struct {
	event
	id     common.Hash
	orders [4]common.Hash // app's, dataset's, workerpool's and request's, as kinds has them
	volume *big.Int
	terms  terms
}

// terms are the hub's view of a deal.
type terms struct {
	App, Dataset, Workerpool                                        party
	Trust, Category                                                 *big.Int
	Tag                                                             [32]byte
	Requester, Beneficiary, Callback                                common.Address
	Params                                                          string
	StartTime, BotFirst, BotSize, WorkerStake, SchedulerRewardRatio *big.Int
}

// party is what was sold in a deal, by whom, for how much.
type party struct {
	Pointer, Owner common.Address
	Price          *big.Int
}

func (p party) show() object {
	return object{{"pointer", p.Pointer.Hex()}, {"owner", p.Owner.Hex()}, {"price", p.Price}}
}

// readDeal reads a deal from the event that it was made by.
func (h *hub) readDeal(ctx context.Context, l types.Log) (deal, error) {
	if len(l.Data) != 6*32 {
		return deal{}, fmt.Errorf("reading event OrdersMatched: want 192 bytes, got %d", len(l.Data))
	}
	word := func(n int) common.Hash { return common.BytesToHash(l.Data[32*n : 32*n+32]) }
	d := deal{id: word(0), orders: [4]common.Hash{word(1), word(2), word(3), word(4)}, volume: word(5).Big()}
	var err error
	if d.event, err = h.when(ctx, l); err != nil {
		return deal{}, err
	}
	d.terms, err = ask[terms](ctx, h, h.address, "viewDeal", d.id)
	return d, err
}

// show writes a deal as the lists do.
func (d deal) show(chain uint64) object {
	t := d.terms
	return object{
		{"app", t.App.show()}, {"dataset", t.Dataset.show()}, {"workerpool", t.Workerpool.show()},
		{"dealid", d.id}, {"appHash", d.orders[0]}, {"beneficiary", t.Beneficiary.Hex()},
		{"blockNumber", d.block}, {"blockTimestamp", d.time}, {"botFirst", t.BotFirst}, {"botSize", t.BotSize},
		{"callback", t.Callback.Hex()}, {"category", t.Category}, {"chainId", chain}, {"datasetHash", d.orders[1]},
		{"params", t.Params}, {"requestHash", d.orders[3]}, {"requester", t.Requester.Hex()},
		{"schedulerRewardRatio", t.SchedulerRewardRatio}, {"startTime", t.StartTime}, {"tag", common.Hash(t.Tag)},
		{"transactionHash", d.tx}, {"trust", t.Trust}, {"volume", d.volume},
		{"workerStake", t.WorkerStake}, {"workerpoolHash", d.orders[2]},
	}
}

// deals lists the deals that were made, newest first.
func (s *Server) deals(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	wanted, err := dealFilters(q)
	if err != nil {
		return nil, err
	}
	skip, limit, err := page(q)
	if err != nil {
		return nil, err
	}
	if err := b.watch(r.Context()); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(b.made), func(d deal) bool {
		return slices.ContainsFunc(wanted, func(want dealFilter) bool { return !want(d) })
	})
	slices.SortFunc(list, func(x, y deal) int { return cmp.Or(cmp.Compare(y.block, x.block), x.id.Cmp(y.id)) })
	return answerPage("deals", list, skip, limit, func(d deal) object { return d.show(b.id) }), nil
}

// deal answers one deal.
func (s *Server) deal(r *http.Request) (object, error) {
	b, err := s.book(r.URL.Query())
	if err != nil {
		return nil, err
	}
	id, err := parseBytes32("dealid", r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := b.watch(r.Context()); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(b.made, func(d deal) bool { return d.id == common.HexToHash(id) })
	if i < 0 {
		return nil, &refusal{http.StatusNotFound, "deal not found"}
	}
	return answerOne(b.made[i].show(b.id), "dealid"), nil
}

// answerOne puts a thing's key and its chain first, as the real market answers a single
// one. The chain's id is a number, in contrast to that of a single order.
func answerOne(shown object, key string) object {
	at := func(k string) member {
		return shown[slices.IndexFunc(shown, func(m member) bool { return m.key == k })]
	}
	rest := slices.DeleteFunc(slices.Clone(shown), func(m member) bool { return m.key == key || m.key == "chainId" })
	return slices.Concat(object{at(key), at("chainId")}, rest)
}

// maxCandles is how many deals /ohlc tells of.
const maxCandles = 100

// ohlc answers what the last deals of a category paid to a workerpool: time, price, volume.
func (s *Server) ohlc(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	if !q.Has("category") {
		return nil, required("category")
	}
	category, err := parseAmount("category", q.Get("category"), 0)
	if err != nil {
		return nil, err
	}
	if err := b.watch(r.Context()); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(b.made), func(d deal) bool { return d.terms.Category.String() != strconv.FormatUint(category, 10) })
	slices.SortFunc(list, func(x, y deal) int {
		return cmp.Or(cmp.Compare(y.block, x.block), x.terms.Workerpool.Price.Cmp(y.terms.Workerpool.Price), x.id.Cmp(y.id))
	})
	candles := [][3]any{}
	for _, d := range list[:min(len(list), maxCandles)] {
		candles = append(candles, [3]any{d.time, d.terms.Workerpool.Price, d.volume})
	}
	return object{{"ohlc", candles}}, nil
}
