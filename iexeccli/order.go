package iexeccli

import (
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

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
	if _, isObject := order.is.(map[string]any); order.is != nil && !isObject {
		r.undecided("order.price", order, "%q is no order", fmt.Sprint(order.is))
	}
	if order.is != nil {
		r.Order.Price = r.amount("order.price", order.field("appprice"), "nRLC a run")
		r.Order.Volume = r.amount("order.volume", order.field("volume"), "runs")
		r.tag(order.field("tag"))
		r.Order.DatasetRestrict = r.restrict(order, "datasetrestrict")
		r.Order.WorkerpoolRestrict = r.restrict(order, "workerpoolrestrict")
		r.Order.RequesterRestrict = r.restrict(order, "requesterrestrict")
	}
	if _, open := r.Undecided["order.tag"]; r.Order.Tag == nil && !open {
		r.tagOfFramework()
	}
}

// restrict reads who alone may use the order. An empty text is no address, and somebody
// was meant.
func (r *reader) restrict(order value, name string) common.Address {
	v := order.field(name)
	if v.is == "" {
		r.undecided("order."+name, value{v.from, `""`}, "it is empty: 0x0000000000000000000000000000000000000000 is anybody")
	}
	return r.address("order."+name, v)
}

// framework is that of the app as a tag names it; empty where none is known.
func (r *reader) framework() string {
	if r.Format == measure.None {
		return "tdx"
	}
	return strings.ToLower(r.Enclave.Framework)
}

// otherFramework is one that a tag names and that is not the app's; empty for none.
func (r *reader) otherFramework(tag poco.Tag) string {
	own := r.framework()
	for _, name := range poco.Frameworks() {
		if own != "" && slices.Contains(poco.Frameworks(), own) && name != own && tag.Has(name) {
			return name
		}
	}
	return ""
}

// tagOfFramework chooses the tag that goes with the app's framework, where an order
// says none.
func (r *reader) tagOfFramework() {
	tag, err := poco.ParseTag("tee," + r.framework())
	if err != nil { // there is no framework, or none that is known
		return
	}
	r.Order.Tag = &tag
	r.take(value{from: File + " app.mrenclave"}, "the tag %s, which goes with it", strings.Join(tag.Names(), ","))
}

// signedOrder returns the order of the project's chain in orders.json, or of the only
// chain that has one. Of several, when the project's is not known, the price is undecided.
func (r *reader) signedOrder() value {
	orders := r.optional("orders.json", "order.price")
	byChain, _ := orders.is.(map[string]any)
	if signed := orders.field(fmt.Sprint(r.Chain.ID)).field("apporder"); signed.is != nil {
		return signed
	}
	var signed []value
	for _, id := range slices.Sorted(maps.Keys(byChain)) {
		if order := orders.field(id).field("apporder"); order.is != nil {
			signed = append(signed, order)
		}
	}
	if len(signed) > 1 && r.Chain.ID == 0 {
		r.undecided("order.price", value{"orders.json", fmt.Sprintf("orders of %d chains", len(signed))}, "it has orders of %d chains, and which one is meant is not known", len(signed))
	}
	if len(signed) != 1 {
		return value{from: "orders.json"}
	}
	return signed[0]
}

// amount reads a number, or a decimal number with its unit: prices may be
// written as "0.5 RLC".
func (r *reader) amount(key string, v value, unit string) *uint64 {
	if v.is == nil {
		return nil
	}
	text := v.text()
	if text == "" {
		r.undecided(key, v, "%v is no whole number", v.is)
		return nil
	}
	n, err := parseAmount(text)
	if err != nil {
		r.undecided(key, v, "%v", err)
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
	ok := text != "" || v.is == ""
	if list, isList := v.is.([]any); isList {
		text, ok = joined(list)
	}
	if v.is == nil {
		return
	}
	tag, err := poco.ParseTag(strings.ToLower(text))
	switch {
	case ok && text == "" || err == nil && tag == poco.Tag{}:
		r.leave(v, "it asks for no enclave")
	case !ok || err != nil:
		r.undecided("order.tag", v, "%q is no tag", fmt.Sprint(v.is))
	case !tag.Has("tee"): // it means something, and its runs would be outside of an enclave all the same
		r.undecided("order.tag", v, "%q asks for no enclave: it lacks tee", fmt.Sprint(v.is))
	case r.otherFramework(tag) != "":
		r.undecided("order.tag", v, "it names %s, and the app's framework is %s: nobody could run it", r.otherFramework(tag), strings.ToUpper(r.framework()))
	default:
		r.Order.Tag = &tag
		r.take(v, "%s", strings.Join(tag.Names(), ","))
		if r.Format == "" && tag.Has("tdx") {
			r.Format = measure.None
		}
	}
}

// joined joins a list's names; ok is false when one is no text.
func joined(list []any) (text string, ok bool) {
	var all []string
	for _, item := range list {
		name, isText := item.(string)
		if !isText {
			return "", false
		}
		all = append(all, name)
	}
	return strings.Join(all, ","), true
}
