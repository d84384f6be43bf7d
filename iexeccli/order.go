package iexeccli

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// order reads the terms of the app's order: those to sign next in iexec.json,
// else those that were signed last, in orders.json.
func (r *reader) order(main map[string]any) {
	order := value{File, main}.field("order").field("apporder")
	if order.is == nil {
		order = r.signedOrder()
	}
	if order.is == nil {
		return
	}
	r.Order.Price = r.amount(order.field("appprice"), "nRLC a run")
	r.Order.Volume = r.amount(order.field("volume"), "runs")
	r.tag(order.field("tag"))
	r.Order.DatasetRestrict = r.address(order.field("datasetrestrict"))
	r.Order.WorkerpoolRestrict = r.address(order.field("workerpoolrestrict"))
	r.Order.RequesterRestrict = r.address(order.field("requesterrestrict"))
}

// signedOrder returns the order of the project's chain in orders.json, or of any
// chain when that is not known.
func (r *reader) signedOrder() value {
	orders := r.optional("orders.json")
	byChain, _ := orders.is.(map[string]any)
	if signed := orders.field(fmt.Sprint(r.Chain.ID)).field("apporder"); signed.is != nil || len(byChain) != 1 {
		return signed
	}
	for id := range byChain {
		return orders.field(id).field("apporder")
	}
	return orders
}

// amount reads a number, or a decimal number with its unit: prices may be
// written as "0.5 RLC".
func (r *reader) amount(v value, unit string) *uint64 {
	text := v.text()
	if text == "" {
		if v.is != nil {
			r.leave(v, "%v is no whole number", v.is)
		}
		return nil
	}
	n, err := parseAmount(text)
	if err != nil {
		r.leave(v, "%v", err)
		return nil
	}
	r.take(v, "%d %s", n, unit)
	return &n
}

func parseAmount(text string) (uint64, error) {
	m := regexp.MustCompile(`^([0-9]+(?:\.[0-9]*)?) *(RLC|nRLC)?$`).FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	amount, _ := new(big.Rat).SetString(m[1]) // the expression lets nothing else through
	if m[2] == "RLC" {
		amount.Mul(amount, big.NewRat(1e9, 1))
	}
	if !amount.IsInt() {
		return 0, fmt.Errorf("%q is no whole number of nRLC", text)
	}
	if n := amount.Num(); n.IsUint64() && n.Uint64() <= poco.MaxAmount {
		return n.Uint64(), nil
	}
	return 0, fmt.Errorf("%q is above the market's limit", text)
}

// tag reads a tag: hex digits, names joined by commas, or a list of names. One
// without any bit, which is what the command line writes unless told otherwise,
// is none: it would sell runs outside of an enclave.
func (r *reader) tag(v value) {
	text := v.text()
	if list, ok := v.is.([]any); ok {
		var names []string
		for _, item := range list {
			if name := (value{is: item}).text(); name != "" {
				names = append(names, name)
			}
		}
		text = strings.Join(names, ",")
	}
	if text == "" {
		return
	}
	tag, err := poco.ParseTag(strings.ToLower(text))
	switch {
	case err != nil:
		r.leave(v, "%v", err)
	case tag == poco.Tag{}:
		r.leave(v, "it asks for no enclave")
	default:
		r.Order.Tag = &tag
		r.take(v, "%s", strings.Join(tag.Names(), ","))
		if r.Format == "" && tag.Has("tdx") {
			r.Format = measure.None
		}
	}
}
