package enclave

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Details are what a SIGSTRUCT says besides who signed what: as sgx_sign dump,
// gramine-sgx-sigstruct-view and oesign dump show it. Numbers are in hex; of a mask, a set
// bit says that the enclave must have that bit as signed.
type Details struct {
	Date              string `json:"date"`
	Vendor            string `json:"vendor"`
	SWDefined         string `json:"swDefined"` // hw_version in Intel's SDK
	Attributes        string `json:"attributes"`
	AttributesMask    string `json:"attributesMask"`
	Flags             string `json:"flags"` // the attributes in words
	XFRM              string `json:"xfrm"`
	XFRMMask          string `json:"xfrmMask"`
	MiscSelect        string `json:"miscSelect"`
	MiscMask          string `json:"miscMask"`
	CETAttributes     string `json:"cetAttributes,omitempty"` // these two with control-flow enforcement only
	CETMask           string `json:"cetMask,omitempty"`
	FamilyID          string `json:"familyId,omitempty"` // these two with key separation only
	ExtendedProductID string `json:"extendedProductId,omitempty"`
}

func newDetails(b sgx.Body) *Details {
	d := &Details{
		Date: dateText(b), Vendor: vendorText(b.Vendor), SWDefined: fmt.Sprintf("%#x", b.SWDefined), Flags: flagsText(b.Attributes.Flags),
		Attributes: fmt.Sprintf("%#016x", b.Attributes.Flags), AttributesMask: fmt.Sprintf("%#016x", b.AttributesMask.Flags),
		XFRM: fmt.Sprintf("%#016x", b.Attributes.XFRM), XFRMMask: fmt.Sprintf("%#016x", b.AttributesMask.XFRM),
		MiscSelect: fmt.Sprintf("%#08x", b.MiscSelect), MiscMask: fmt.Sprintf("%#08x", b.MiscMask),
	}
	if b.CETAttributes|b.CETMask != 0 {
		d.CETAttributes, d.CETMask = fmt.Sprintf("%#x", b.CETAttributes), fmt.Sprintf("%#x", b.CETMask)
	}
	if b.Attributes.Flags&sgx.KeySeparation != 0 {
		d.FamilyID, d.ExtendedProductID = hex.EncodeToString(b.FamilyID[:]), hex.EncodeToString(b.ExtendedProductID[:])
	}
	return d
}

// lines are for people.
func (d Details) lines() []string {
	all := []string{
		fmt.Sprintf("date %s, vendor %s, SWDEFINED %s", d.Date, d.Vendor, d.SWDefined),
		fmt.Sprintf("attributes %s (%s), mask %s", d.Attributes, d.Flags, d.AttributesMask),
		fmt.Sprintf("XFRM %s, mask %s", d.XFRM, d.XFRMMask),
		fmt.Sprintf("MISCSELECT %s, mask %s", d.MiscSelect, d.MiscMask),
	}
	if d.CETMask != "" {
		all = append(all, fmt.Sprintf("CET attributes %s, mask %s", d.CETAttributes, d.CETMask))
	}
	if d.FamilyID != "" {
		all = append(all, fmt.Sprintf("family id %s, extended product id %s", d.FamilyID, d.ExtendedProductID))
	}
	return all
}

// dateText reads the date as Intel defines it, in BCD, and as Gramine's signer wrote it
// for years: the numbers of day and month in a byte each and the year in two, of which no
// year of this time is BCD.
func dateText(b sgx.Body) string {
	if day, ok := b.Day(); ok {
		return day.Format(time.DateOnly)
	}
	if b.Date == 0 {
		return "none"
	}
	year, month, day := int(b.Date>>16), time.Month(b.Date>>8&0xff), int(b.Date&0xff)
	if t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC); year >= 1970 && t.Month() == month && t.Day() == day {
		return t.Format(time.DateOnly) + " (written as numbers, not in BCD)"
	}
	return fmt.Sprintf("%#08x (no calendar day)", b.Date)
}

func vendorText(vendor uint32) string {
	switch vendor {
	case 0:
		return "none"
	case 0x8086:
		return "0x8086 (Intel)"
	}
	return fmt.Sprintf("%#x", vendor)
}

func flagsText(flags uint64) string {
	var words []string
	for _, f := range []struct {
		bit  uint64
		word string
	}{
		{sgx.Debug, "debug"}, {sgx.Mode64Bit, "64-bit"}, {sgx.ProvisionKey, "provisioning key"}, {sgx.EInitTokenKey, "launch-token key"}, {sgx.KeySeparation, "key separation"},
	} {
		if flags&f.bit != 0 {
			words = append(words, f.word)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		words = append(words, fmt.Sprintf("and %#x", flags))
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, ", ")
}

// Memory is the enclave as it is when it starts.
type Memory struct {
	Size    uint64 `json:"size"`            // of the address range, in bytes
	Heap    uint64 `json:"heap,omitempty"`  // in bytes, of what is there at the start
	Stack   uint64 `json:"stack,omitempty"` // in bytes, of all threads together
	Threads uint64 `json:"threads"`
	Frame   uint64 `json:"ssaFrame"` // of saved state, in bytes
	// Pages are how many there are of each kind, as Run has it.
	Pages map[string]uint64 `json:"pages"`
	Map   []Run             `json:"map"` // in the order of addresses, neighbours of one kind together
	// Cut says that the map has not all, but as many as any loader that is known makes.
	Cut bool `json:"cut,omitempty"`
	// Untold says what the kind of file does not tell.
	Untold string `json:"untold,omitempty"`
}

// Run is a run of pages of one kind.
type Run struct {
	At       uint64 `json:"at"`   // bytes from the start of the address range
	Size     uint64 `json:"size"` // in bytes
	Pages    string `json:"pages"`
	Measured bool   `json:"measured"`         // their content counts, not their place alone
	Partly   bool   `json:"partly,omitempty"` // some of it does
	Loaded   bool   `json:"loaded,omitempty"` // there is content that does not count
	Part     string `json:"part,omitempty"`
}

// content says in words what counts.
func (r Run) content() string {
	switch {
	case r.Measured:
		return "measured"
	case r.Partly && r.Loaded:
		return "measured in part, the rest loaded"
	case r.Partly:
		return "measured in part"
	case r.Loaded:
		return "loaded, not measured"
	}
	return "content not measured"
}

// lines are for people.
func (m Memory) lines() []string {
	text := "size " + bytesText(m.Size)
	if m.Untold == "" {
		text += fmt.Sprintf(", heap %s, stack %s", bytesText(m.Heap), bytesText(m.Stack))
	}
	text += fmt.Sprintf(", threads %d, frames of saved state of %s", m.Threads, bytesText(m.Frame))
	if m.Untold != "" {
		text += "; " + m.Untold
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(m.Pages)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", m.Pages[kind], kind))
	}
	all := []string{text, "pages of 4 KiB: " + cmp.Or(strings.Join(kinds, ", "), "none")}
	for _, r := range m.Map {
		all = append(all, strings.TrimRight(fmt.Sprintf("%#012x %12s %s %-21s%s", r.At, bytesText(r.Size), r.Pages, r.content(), r.Part), " "))
	}
	if m.Cut {
		all = append(all, "and more runs of pages than any known loader makes")
	}
	return all
}

func bytesText(n uint64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// The parts of an enclave that are told apart.
const (
	partHeap  = "heap"
	partStack = "stack"
	partSSA   = "saved state"
	partData  = "thread data"
)

// memory describes a plan.
func (p *plan) memory() *Memory {
	m := &Memory{Size: p.size, Frame: uint64(p.ssaPages) * pageSize, Pages: map[string]uint64{}}
	for _, r := range p.sorted() {
		m.add(Run{At: r.at, Size: r.pages * pageSize, Pages: r.flags.String(), Measured: r.content != nil, Part: r.part})
	}
	return m
}

// add appends a run, which lies behind the others.
func (m *Memory) add(run Run) {
	pages := run.Size / pageSize
	m.Pages[run.Pages] += pages
	switch {
	case run.Pages == sgx.TCSPage.String():
		m.Threads += pages
	case run.Part == partHeap:
		m.Heap += run.Size
	case run.Part == partStack:
		m.Stack += run.Size
	}
	switch n := len(m.Map); {
	case n > 0 && m.Map[n-1].continues(run):
		m.Map[n-1].Size += run.Size
	case n < MaxRegions:
		m.Map = append(m.Map, run)
	default:
		m.Cut = true
	}
}

func (r Run) continues(next Run) bool {
	end := r.At + r.Size
	r.At, r.Size = next.At, next.Size
	return end == next.At && r == next
}
