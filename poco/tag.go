package poco

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Tag is the bit field of an order: what a run needs of the worker it is given.
// Bit i stands in byte 31-i/8 (bit 0 is the lowest bit of the last byte).
//
// The contracts compare tags bit by bit and know the meaning of bit 0 only: a
// request that needs a TEE must find the bit in the app's order. The other bits
// are conventions of iExec's SDK, scheduler and secret service.
type Tag [32]byte

// The names of the bits, as in iExec's SDK since version 8.
var tagBits = []struct {
	name string
	bit  uint
}{{"tee", 0}, {"scone", 1}, {"gramine", 2}, {"tdx", 3}, {"gpu", 8}}

// TagNames returns the names of bits that [ParseTag] knows.
func TagNames() []string {
	var names []string
	for _, b := range tagBits {
		names = append(names, b.name)
	}
	return names
}

// TEE is the tag that this project gives an app's order unless told otherwise:
// 0x…01, "runs in a trusted execution environment", with no framework named.
func TEE() Tag { return Tag{31: 1} }

// ParseTag reads a tag written as 0x and 64 hex digits, as a short hex number
// (0x3), or as bit names joined by commas (tee,scone).
func ParseTag(s string) (Tag, error) {
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		return parseHexTag(digits)
	}
	var t Tag
	for name := range strings.SplitSeq(s, ",") {
		bit, err := tagBit(strings.TrimSpace(name))
		if err != nil {
			return Tag{}, fmt.Errorf("parsing tag %q: %w", s, err)
		}
		t[31-bit/8] |= 1 << (bit % 8)
	}
	return t, nil
}

func parseHexTag(digits string) (Tag, error) {
	if len(digits) == 0 || len(digits) > 64 {
		return Tag{}, fmt.Errorf("parsing tag 0x%s: want 1 to 64 hex digits, got %d", digits, len(digits))
	}
	var t Tag
	if _, err := hex.Decode(t[:], []byte(strings.Repeat("0", 64-len(digits))+digits)); err != nil {
		return Tag{}, fmt.Errorf("parsing tag 0x%s: %w", digits, err)
	}
	return t, nil
}

func tagBit(name string) (uint, error) {
	for _, b := range tagBits {
		if b.name == name {
			return b.bit, nil
		}
	}
	return 0, fmt.Errorf("unknown bit %q, want %s", name, strings.Join(TagNames(), ", "))
}

// String returns 0x and 64 lower-case hex digits, the form that the market
// demands.
func (t Tag) String() string { return "0x" + hex.EncodeToString(t[:]) }

// Names returns the bits that are set, lowest first; a bit without a name is
// called bit<i>.
func (t Tag) Names() []string {
	var names []string
	for i := range uint(256) {
		if t[31-i/8]&(1<<(i%8)) != 0 {
			names = append(names, bitName(i))
		}
	}
	return names
}

func bitName(bit uint) string {
	for _, b := range tagBits {
		if b.bit == bit {
			return b.name
		}
	}
	return fmt.Sprintf("bit%d", bit)
}

// Has reports whether the named bit is set.
func (t Tag) Has(name string) bool { return slices.Contains(t.Names(), name) }

// Or returns the bits that are set in either tag.
func (t Tag) Or(u Tag) Tag {
	for i := range t {
		t[i] |= u[i]
	}
	return t
}

// Within reports whether all bits that are set in t are set in u.
func (t Tag) Within(u Tag) bool { return t.Or(u) == u }

// MarshalText implements [encoding.TextMarshaler] by String.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by [ParseTag].
func (t *Tag) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTag(string(text))
	return err
}
