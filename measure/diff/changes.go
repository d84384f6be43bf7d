package diff

import "slices"

// maxShown bounds the changes of one kind and cause that a layer's report holds:
// a million of one must neither fill the memory nor hide the one of another.
const maxShown = 100

// changes collects what differs in a layer.
type changes struct {
	opts   Options
	causes *tally
	shown  map[group][]Change
	folded map[Kind]int
}

// group is what is folded together.
type group struct {
	kind  Kind
	cause string
}

func newChanges(opts Options, causes *tally) *changes {
	return &changes{opts, causes, map[group][]Change{}, map[Kind]int{}}
}

func (c *changes) add(change Change, f facts) {
	change.Random = change.Kind == Content && c.opts.isRandom(change.Path)
	change.Cause = c.causes.note(change, f)
	g := group{change.Kind, change.Cause}
	if len(c.shown[g]) == maxShown {
		c.folded[change.Kind]++
		return
	}
	c.shown[g] = append(c.shown[g], change)
}

// list returns the changes, the gravest kind first, and of each kind those first
// that no cause explains. Layers whose diff ids differ always differ in something.
func (c *changes) list() ([]Change, map[Kind]int) {
	if len(c.shown) == 0 {
		c.add(Change{Path: "/", Kind: Header, A: "the same entries", B: "written in another way"}, facts{})
	}
	causes := []string{""}
	for _, r := range slices.Backward(c.causes.rules) { // the most particular first
		causes = append(causes, r.name)
	}
	var all []Change
	for _, kind := range kinds() {
		for _, cause := range causes {
			all = append(all, c.shown[group{kind, cause}]...)
		}
	}
	return all, c.folded
}
