package poco

import (
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// Match is the orders that make a deal.
type Match struct {
	App        SignedAppOrder
	Dataset    SignedDatasetOrder // [NoDataset] for a request without one
	Workerpool SignedWorkerpoolOrder
	Request    SignedRequestOrder
}

// Arguments returns the arguments of the hub's matchOrders.
func (m Match) Arguments() []any {
	return []any{m.App.members(), m.Dataset.members(), m.Workerpool.members(), m.Request.members()}
}

// RunPrice returns what a run costs, in nRLC.
func (m Match) RunPrice() *big.Int {
	sum := new(big.Int).Add(m.App.AppPrice, m.Dataset.DatasetPrice)
	return sum.Add(sum, m.Workerpool.WorkerpoolPrice)
}

// Refusal is why matchOrders reverts: what stands in its text behind
// "iExecV5-matchOrders-0x".
type Refusal string

// refusals is why each revert happens, as IexecPoco1Facet has it.
var refusals = []struct {
	refusal Refusal
	words   string
}{
	{"00", "the workerpool's order is for another category"},
	{"01", "the hub has no such category"},
	{"02", "the request asks for more trust than the workerpool's order has"},
	{"03", "the app costs more than the request's maximum"},
	{"04", "the dataset costs more than the request's maximum"},
	{"05", "the workerpool costs more than the request's maximum"},
	{"06", "the workerpool's order lacks a bit of the tag that app, dataset and request have together"},
	{"07", "the request, or the dataset, wants a TEE, and the app's order has no bit tee"},
	{"10", "the app's order is for another app"},
	{"11", "the dataset's order is for another dataset"},
	{"12", "the request wants another workerpool"},
	{"13", "the app's order is restricted to another dataset"},
	{"14", "the app's order is restricted to another workerpool"},
	{"15", "the app's order is restricted to another requester"},
	{"16", "the dataset's order is restricted to another app"},
	{"17", "the dataset's order is restricted to another workerpool"},
	{"18", "the dataset's order is restricted to another requester"},
	{"19", "the workerpool's order is restricted to another app"},
	{"1a", "the workerpool's order is restricted to another dataset"},
	{"1b", "the workerpool's order is restricted to another requester"},
	{"20", "the app is not registered"},
	{"21", "the app's order is not signed by the app's owner"},
	{"30", "the dataset is not registered"},
	{"31", "the dataset's order is not signed by the dataset's owner"},
	{"40", "the workerpool is not registered"},
	{"41", "the workerpool's order is not signed by the workerpool's owner"},
	{"50", "the request is not signed by the requester"},
	{"60", "one of the orders has no runs left: it was used up or closed"},
}

// Words says what a refusal means.
func (r Refusal) Words() string {
	for _, known := range refusals {
		if known.refusal == r {
			return known.words
		}
	}
	return "the orders do not match (" + string(r) + ")"
}

// Text is how a hub writes the refusal.
func (r Refusal) Text() string { return refusalText + string(r) }

const refusalText = "iExecV5-matchOrders-0x"

// ParseRefusal finds a refusal in the words of a node; "" when there is none.
func ParseRefusal(text string) Refusal {
	_, after, there := strings.Cut(text, refusalText)
	if !there || len(after) < 2 {
		return ""
	}
	return Refusal(strings.ToLower(after[:2]))
}

// Refusals returns why matchOrders would revert, as far as the orders alone show it, in
// the order in which it looks. isAllowed says whether somebody is who a restriction
// means: anybody for the zero address, else that address or a member of the group there.
func (m Match) Refusals(isAllowed func(restriction, who common.Address) bool) []Refusal {
	a, d, w, r := m.App, m.Dataset, m.Workerpool, m.Request
	var all []Refusal
	add := func(fails bool, refusal Refusal) {
		if fails {
			all = append(all, refusal)
		}
	}
	add(r.Category.Cmp(w.Category) != 0, "00")
	add(r.Trust.Cmp(w.Trust) > 0, "02")
	add(a.AppPrice.Cmp(r.AppMaxPrice) > 0, "03")
	add(d.DatasetPrice.Cmp(r.DatasetMaxPrice) > 0, "04")
	add(w.WorkerpoolPrice.Cmp(r.WorkerpoolMaxPrice) > 0, "05")
	tag := m.Tag()
	add(!tag.Within(w.Tag), "06")
	add(tag.Has("tee") && !a.Tag.Has("tee"), "07")
	add(a.App != r.App, "10")
	add(d.Dataset != r.Dataset, "11")
	add(!isAllowed(r.Workerpool, w.Workerpool), "12")
	add(!isAllowed(a.DatasetRestrict, d.Dataset), "13")
	add(!isAllowed(a.WorkerpoolRestrict, w.Workerpool), "14")
	add(!isAllowed(a.RequesterRestrict, r.Requester), "15")
	add(!isAllowed(d.AppRestrict, a.App), "16")
	add(!isAllowed(d.WorkerpoolRestrict, w.Workerpool), "17")
	add(!isAllowed(d.RequesterRestrict, r.Requester), "18")
	add(!isAllowed(w.AppRestrict, a.App), "19")
	add(!isAllowed(w.DatasetRestrict, d.Dataset), "1a")
	add(!isAllowed(w.RequesterRestrict, r.Requester), "1b")
	return all
}

// Tag returns the tag of the deal. Of a dataset's the bits that name a framework are left
// out, as the hub does since 6.2; one before takes a match less, which a simulation shows.
func (m Match) Tag() Tag {
	dataset := m.Dataset.Tag
	dataset[31] &^= 0b1110
	return m.App.Tag.Or(dataset).Or(m.Request.Tag)
}
