package enclave_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// change is a byte that gets another value.
type change struct {
	at    int
	value byte
}

// values are what a byte may be turned into: lengths in whole records, limits of
// numbers, one bit.
func value(r *rand.Rand, old byte) byte {
	for {
		var v byte
		switch r.IntN(4) {
		case 0:
			v = old ^ 1<<r.IntN(8)
		case 1:
			v = old + []byte{1, 255, 8, 248, 24, 64, 192}[r.IntN(7)]
		case 2:
			v = []byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
		default:
			v = byte(r.UintN(256))
		}
		if v != old {
			return v
		}
	}
}

// pairs are changes of one or two bytes: anywhere, one or both of them in the
// container, and each pair of length bytes by the same steps.
func (g target) pairs(r *rand.Rand, n int) [][]change {
	container := offsets(g.container)
	pick := func(structural bool) change {
		at := r.IntN(len(g.file))
		if structural {
			at = container[r.IntN(len(container))]
		}
		return change{at, value(r, g.file[at])}
	}
	var all [][]change
	for i := range n {
		pair := []change{pick(i%4 > 0)}
		if second := pick(i%4 > 1); i%8 != 7 && second.at != pair[0].at {
			pair = append(pair, second)
		}
		all = append(all, pair)
	}
	return slices.DeleteFunc(append(all, g.steps()...), func(pair []change) bool { return pair[0].value == g.file[pair[0].at] })
}

// steps change two lengths at once by as much, or by the opposite.
func (g target) steps() (all [][]change) {
	lengths := offsets(g.lengths)
	for i, a := range lengths {
		for _, b := range lengths[i+1:] {
			for _, step := range []int{1, -1, 8, 64, -64, 0x10, -0x10, 0x19, -0x19, 0x1a, -0x1a, g.step} {
				for _, sign := range []int{1, -1} {
					all = append(all, []change{{a, g.file[a] + byte(step)}, {b, g.file[b] + byte(sign*step)}})
				}
			}
		}
	}
	return all
}

// loaded reports whether a byte of the file is in a segment.
func (g target) loaded(at int) bool {
	for i := range u16(g.file, 56) {
		s := u64(g.file, 32) + 56*i
		if from := u64(g.file, s+8); u32(g.file, s) == 1 && uint64(at) >= from && uint64(at) < from+u64(g.file, s+32) {
			return true
		}
	}
	return false
}

// tally counts how pairs ended.
type tally struct{ pairs, proven, led int }

func (s *tally) add(proven, led bool) {
	s.pairs++
	if proven {
		s.proven++
	}
	if led {
		s.led++
	}
}

// Whatever one or two bytes become, an enclave is proven only if no loader would
// start other pages: each signature that one takes is reported, with the pages
// that were measured, and no byte that is loaded has changed except where the
// loader itself writes.
func TestAttackAnyTwoBytes(t *testing.T) {
	const each = 3900 // an eighth of them change one byte
	all := targets(t)
	if seeded := each * len(all) * 7 / 8; seeded < 20_000 {
		t.Errorf("%d seeded pairs, want 20,000", seeded)
	}
	for name, g := range all {
		t.Run(name, func(t *testing.T) {
			if f, err := open(t, g.file); !proven(f, err) {
				t.Fatalf("as it is: %+v, %v", f, err)
			}
			r := rand.New(rand.NewPCG(1, uint64(len(g.file))))
			var sum tally
			before := takenBy(g.file)
			if len(before) == 0 {
				t.Fatal("no loader takes it")
			}
			for _, pair := range g.pairs(r, each) {
				sum.add(g.try(t, pair, before))
			}
			t.Logf("%d pairs: %d proven, %d led a loader to another signature", sum.pairs, sum.proven, sum.led)
			if sum.proven == 0 || sum.proven == sum.pairs {
				t.Error("the pairs do not tell a proven enclave from another")
			}
		})
	}
}

// try reports whether the changed file is proven, and whether a loader takes
// another signature than before from it.
func (g target) try(t *testing.T, pair []change, before [][]byte) (isProven, led bool) {
	file := bytes.Clone(g.file)
	for _, c := range pair {
		file[c.at] = c.value
	}
	after := takenBy(file)
	led = slices.ContainsFunc(after, func(b []byte) bool { return !holds(before, b) })
	f, err := enclave.Options{MaxHashed: 64 << 20}.Open(t.Context(), bytes.NewReader(file), int64(len(file)))
	if !proven(f, err) {
		return false, led
	}
	checkStarters(t, f, file)
	if t.Failed() {
		t.Fatal(describe(pair))
	}
	for _, c := range pair {
		if g.loaded(c.at) && !slices.ContainsFunc(g.patched, func(a area) bool { return c.at >= a.from && c.at < a.to }) {
			t.Errorf("%s: proven, and a byte that is loaded has changed", describe(pair))
		}
	}
	return true, led
}

func holds(all [][]byte, b []byte) bool {
	return slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(other, b) })
}

// takenBy returns the signatures that loaders take.
func takenBy(file []byte) (all [][]byte) {
	for _, s := range starters() {
		if signature := s.taken(file); signature != nil {
			all = append(all, signature)
		}
	}
	return all
}

func describe(pair []change) string {
	var text string
	for _, c := range pair {
		text += fmt.Sprintf("byte %#x is %#x, ", c.at, c.value)
	}
	return text
}
