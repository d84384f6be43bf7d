package orders

import (
	"fmt"
	"slices"
)

// Retire says what becomes of the orders that a new one takes the place of.
type Retire string

// The ways. An order that is only unpublished is out of the market, but whoever kept it
// can still have it matched.
const (
	RetireClose     Retire = "close"     // on chain, for good, and out of the market
	RetireUnpublish Retire = "unpublish" // out of the market
	RetireKeep      Retire = "keep"      // on sale beside the new one
)

// Retires returns the values that Retire can have.
func Retires() []Retire { return []Retire{RetireClose, RetireUnpublish, RetireKeep} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Retire) UnmarshalText(text []byte) error {
	if !slices.Contains(Retires(), Retire(text)) {
		return fmt.Errorf("want one of %v, got %q", Retires(), text)
	}
	*r = Retire(text)
	return nil
}
