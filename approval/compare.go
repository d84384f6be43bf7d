package approval

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// Difference is a member in which a release is not as it was approved.
type Difference struct{ Field, Approved, Now string }

// DiffersError says that a release would do something else than was approved.
type DiffersError struct {
	Hash        string // of the plan that was approved
	Differences []Difference
}

func (e *DiffersError) Error() string {
	var fields []string
	for _, d := range e.Differences {
		fields = append(fields, d.Field)
	}
	more := ""
	if len(fields) > maxTold {
		more = fmt.Sprintf(" and %d more", len(fields)-maxTold)
	}
	return "the release is not the one that was approved: another " + strings.Join(fields[:min(len(fields), maxTold)], ", ") + more
}

// maxTold is how many differences are told.
const maxTold = 10

// Evidence returns each member that differs, and of which plan.
func (e *DiffersError) Evidence() [][2]string {
	var facts [][2]string
	for _, d := range e.Differences[:min(len(e.Differences), maxTold)] {
		facts = append(facts, [2]string{"expected " + d.Field, d.Approved}, [2]string{"actual " + d.Field, d.Now})
	}
	return append(facts, [2]string{"plan", e.Hash})
}

// Check compares what a release would do now with the plan that was approved. What of
// the plan was done meanwhile, by an earlier run or by somebody else, need not be done
// any more: fewer writes, calls and orders to retire are no difference, and more are.
// What either does not know yet is not compared, unless the release is about to write:
// then it must know all. Its error is a *DiffersError.
func (p Plan) Check(now Plan, writing bool) error {
	e := &DiffersError{Hash: p.Hash}
	if writing {
		for _, name := range now.Unknown() {
			e.Differences = append(e.Differences, Difference{name, "a value that is known before anything is written", "none"})
		}
	}
	approved, err := p.tree()
	if err != nil {
		return err
	}
	is, err := now.tree()
	if err != nil {
		return err
	}
	e.compare("", approved, is)
	if len(e.Differences) == 0 {
		return nil
	}
	return e
}

// tree is a plan as JSON has it, without what is said of it.
func (p Plan) tree() (map[string]any, error) {
	encoded, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding plan: %w", err)
	}
	var tree map[string]any
	err = json.Unmarshal(encoded, &tree)
	delete(tree, "hash")
	return tree, err
}

// compare notes in what two values differ. Every member of a plan comes by here: one that
// is new is compared unless something else is said of it.
func (e *DiffersError) compare(name string, approved, now any) {
	switch {
	case approved == nil || now == nil:
		return // not known yet
	case name == "writes", name == "calls", name == "retire.orders":
		e.atMost(name, list(approved), list(now))
	case strings.HasPrefix(name, "cost.") && name != "cost.payer":
		e.noMore(name, approved, now)
	default:
		a, isObject := approved.(map[string]any)
		n, areObjects := now.(map[string]any)
		if !isObject || !areObjects {
			e.equal(name, approved, now)
			return
		}
		for _, key := range members(a, n) {
			below := strings.TrimPrefix(name+"."+key, ".")
			_, was := a[key]
			if _, is := n[key]; was != is { // absent where there is none, and not null as what is not known
				e.equal(below, a[key], n[key])
				continue
			}
			e.compare(below, a[key], n[key])
		}
	}
}

func members(a, b map[string]any) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func list(value any) []any {
	all, _ := value.([]any)
	return all
}

func (e *DiffersError) equal(name string, approved, now any) {
	if !reflect.DeepEqual(approved, now) {
		e.Differences = append(e.Differences, Difference{name, text(approved), text(now)})
	}
}

// atMost notes each of the things that was not approved: in what it is not the one that
// was, or all of it.
func (e *DiffersError) atMost(name string, approved, now []any) {
	for _, thing := range now {
		if slices.ContainsFunc(approved, func(a any) bool { return fits(a, thing) }) {
			continue
		}
		d := Difference{name, briefly(approved), described(thing, slices.Sorted(maps.Keys(leaves(thing))))}
		if near, differ := nearest(approved, thing); near != nil {
			d.Approved, d.Now = described(near, differ), described(thing, differ)
		}
		e.Differences = append(e.Differences, d)
	}
}

// nearest returns the thing of the same name that differs in the fewest members, and these;
// nil for none.
func nearest(approved []any, thing any) (near any, differ []string) {
	is := leaves(thing)
	for _, a := range approved {
		if called(a) != called(thing) {
			continue
		}
		was := leaves(a)
		others := slices.DeleteFunc(members(was, is), func(key string) bool { return was[key] == nil || is[key] == nil || was[key] == is[key] })
		if near == nil || len(others) < len(differ) {
			near, differ = a, others
		}
	}
	return near, differ
}

// leaves are the members of an object, and of those in it, by their own names.
func leaves(thing any) map[string]any {
	all := map[string]any{}
	object, _ := thing.(map[string]any)
	for key, value := range object {
		if below, ok := value.(map[string]any); ok {
			maps.Copy(all, below)
		} else {
			all[key] = value
		}
	}
	return all
}

// called is the name of a call or of an order: of the one its function, of the other its hash.
func called(thing any) string {
	object, ok := thing.(map[string]any)
	if !ok {
		return text(thing)
	}
	name, _, _ := strings.Cut(text(cmp.Or(object["hash"], object["function"])), "(")
	return name
}

// described writes members of a thing in words.
func described(thing any, keys []string) string {
	values := leaves(thing)
	var said []string
	for _, key := range keys {
		if key != "hash" && key != "function" {
			said = append(said, key+" "+text(values[key]))
		}
	}
	if said == nil {
		return called(thing)
	}
	return called(thing) + ": " + strings.Join(said, ", ")
}

// briefly names the things that were approved.
func briefly(approved []any) string {
	names := []string{"nothing"}
	for _, thing := range approved {
		names = append(names, called(thing))
	}
	if len(names) > 1 {
		names = names[1:]
	}
	return strings.Join(names, ", ")
}

// fits reports whether a thing is one that was approved, as far as both were known.
func fits(approved, now any) bool {
	a, isObject := approved.(map[string]any)
	n, areObjects := now.(map[string]any)
	if !isObject || !areObjects {
		return approved == nil || now == nil || reflect.DeepEqual(approved, now)
	}
	for _, key := range members(a, n) {
		_, there := a[key]
		_, also := n[key]
		if there != also || !fits(a[key], n[key]) {
			return false
		}
	}
	return true
}

// noMore notes a number that is higher than was approved.
func (e *DiffersError) noMore(name string, approved, now any) {
	most, ok := new(big.Int).SetString(text(approved), 10)
	is, also := new(big.Int).SetString(text(now), 10)
	if !ok || !also || is.Cmp(most) > 0 {
		e.Differences = append(e.Differences, Difference{name, "at most " + text(approved), text(now)})
	}
}

// text writes a value: one that is text as it is.
func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	if value == nil {
		return "none"
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
