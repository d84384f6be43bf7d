package enclave

import (
	"encoding/hex"
	"fmt"
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
	Attributes        string `json:"attributes"`
	AttributesMask    string `json:"attributesMask"`
	Flags             string `json:"flags"` // the attributes in words
	XFRM              string `json:"xfrm"`
	XFRMMask          string `json:"xfrmMask"`
	MiscSelect        string `json:"miscSelect"`
	MiscMask          string `json:"miscMask"`
	FamilyID          string `json:"familyId,omitempty"` // these two with key separation only
	ExtendedProductID string `json:"extendedProductId,omitempty"`
}

func newDetails(b sgx.Body) *Details {
	d := &Details{
		Date: dateText(b), Vendor: vendorText(b.Vendor), Flags: flagsText(b.Attributes.Flags),
		Attributes: fmt.Sprintf("%#016x", b.Attributes.Flags), AttributesMask: fmt.Sprintf("%#016x", b.AttributesMask.Flags),
		XFRM: fmt.Sprintf("%#016x", b.Attributes.XFRM), XFRMMask: fmt.Sprintf("%#016x", b.AttributesMask.XFRM),
		MiscSelect: fmt.Sprintf("%#08x", b.MiscSelect), MiscMask: fmt.Sprintf("%#08x", b.MiscMask),
	}
	if b.Attributes.Flags&sgx.KeySeparation != 0 {
		d.FamilyID, d.ExtendedProductID = hex.EncodeToString(b.FamilyID[:]), hex.EncodeToString(b.ExtendedProductID[:])
	}
	return d
}

// lines are for people.
func (d Details) lines() []string {
	all := []string{
		fmt.Sprintf("date %s, vendor %s", d.Date, d.Vendor),
		fmt.Sprintf("attributes %s (%s), mask %s", d.Attributes, d.Flags, d.AttributesMask),
		fmt.Sprintf("XFRM %s, mask %s", d.XFRM, d.XFRMMask),
		fmt.Sprintf("MISCSELECT %s, mask %s", d.MiscSelect, d.MiscMask),
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
	Map     []Run  `json:"map"` // in the order of addresses, neighbours of one kind together
}

// Run is a run of pages of one kind.
type Run struct {
	At       uint64 `json:"at"`   // bytes from the start of the address range
	Size     uint64 `json:"size"` // in bytes
	Pages    string `json:"pages"`
	Measured bool   `json:"measured"` // their content counts, not their place alone
	Part     string `json:"part,omitempty"`
}

// lines are for people.
func (m Memory) lines() []string {
	all := []string{fmt.Sprintf("size %s, heap %s, stack %s, threads %d", bytesText(m.Size), bytesText(m.Heap), bytesText(m.Stack), m.Threads)}
	for _, r := range m.Map {
		content := "content not measured"
		if r.Measured {
			content = "measured"
		}
		all = append(all, strings.TrimRight(fmt.Sprintf("%#012x %12s %s %-21s%s", r.At, bytesText(r.Size), r.Pages, content, r.Part), " "))
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
	m := &Memory{Size: p.size}
	for _, r := range p.sorted() {
		run := Run{At: r.at, Size: r.pages * pageSize, Pages: r.flags.String(), Measured: r.content != nil, Part: r.part}
		switch {
		case r.flags&^0xff == sgx.TCSPage:
			m.Threads += r.pages
		case r.part == partHeap:
			m.Heap += run.Size
		case r.part == partStack:
			m.Stack += run.Size
		}
		if n := len(m.Map); n > 0 && m.Map[n-1].continues(run) {
			m.Map[n-1].Size += run.Size
		} else {
			m.Map = append(m.Map, run)
		}
	}
	return m
}

func (r Run) continues(next Run) bool {
	return r.At+r.Size == next.At && r.Pages == next.Pages && r.Measured == next.Measured && r.Part == next.Part
}
