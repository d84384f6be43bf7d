package enclave

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// syntheticPrefix marks what is not an MRENCLAVE; measure.SyntheticPrefix is the
// same text, which a test asserts.
const syntheticPrefix = "SYNTHETIC"

// Hash is a synthetic measurement.
type Hash [32]byte

// String returns 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Measurement holds both values of a program: enclaves whose pages are all added
// before they start, and those that grow (EDMM).
type Measurement struct{ Static, EDMM Hash }

// Measure measures a program.
func Measure(program string, s Settings) (Measurement, error) {
	content, err := contentOf(program, s)
	if err != nil {
		return Measurement{}, fmt.Errorf("measuring %s: %w", program, err)
	}
	return Measurement{
		Static: synthetic(fmt.Sprintf("%sheap %d\n", content, s.Heap)),
		EDMM:   synthetic(fmt.Sprintf("%sedmm, minimal heap %d\n", content, s.MinHeap)),
	}, nil
}

func synthetic(text string) Hash {
	var h Hash
	sum := sha256.Sum256([]byte(text))
	copy(h[copy(h[:], syntheticPrefix):], sum[:])
	return h
}

// contentOf describes all that both values depend on, one thing a line.
func contentOf(program string, s Settings) (string, error) {
	sum, err := hashFile(program)
	if err != nil {
		return "", err
	}
	loaded, err := libraries(program, s)
	if err != nil {
		return "", err
	}
	sums, err := hashFiles(loaded)
	if err != nil {
		return "", err
	}
	extensions, err := hashFiles(s.Extensions)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mrelease stand-in runtime 1\nprogram %s\n", sum)
	fmt.Fprintf(&b, "libraries %s\nextensions %s\n", strings.Join(sums, " "), strings.Join(extensions, " "))
	fmt.Fprintf(&b, "stack %d\ntcs %d\ndlopen %d\n", s.Stack, s.TCS, s.Dlopen)
	fmt.Fprintf(&b, "mprotect %t\nfork %t\nsyslibs %t\n", s.Mprotect, s.Fork, s.Syslibs)
	return b.String(), nil
}

// hashFiles returns the digests of files in an order that depends on the digests
// alone.
func hashFiles(names []string) ([]string, error) {
	var sums []string
	for _, name := range names {
		sum, err := hashFile(name)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	slices.Sort(sums)
	return slices.Compact(sums), nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
