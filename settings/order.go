package settings

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/orders"
)

// Terms are what the order says.
func (o Order) Terms() orders.Terms {
	return orders.Terms{
		Price: o.Price, Volume: o.Volume, Tag: o.Tag,
		DatasetRestrict: o.DatasetRestrict, WorkerpoolRestrict: o.WorkerpoolRestrict, RequesterRestrict: o.RequesterRestrict,
	}
}

// String writes the terms for people.
func (o Order) String() string {
	return fmt.Sprintf("%d nRLC a run, %s, tag %s", o.Price, printable.Count(o.Volume, "run"), cmp.Or(strings.Join(o.Tag.Names(), ","), "none"))
}
