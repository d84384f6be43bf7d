package measure

import (
	"fmt"
	"slices"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Trust is how much a measurement is worth that was made without an enclave: whose
// word it is.
type Trust string

const (
	// TrustStated: the value was printed by the image's own program, which can print any.
	TrustStated Trust = "stated"
	// TrustKnown: it was printed by a program that is, with all that is loaded when it
	// starts, byte for byte the one of a trusted base image; and that prints it also
	// in the base image alone, where nothing of the app's is.
	TrustKnown Trust = "known"
	// TrustComputed: it is what the SIGSTRUCT in the program that the image starts holds,
	// whose signature was verified here. The processor starts no enclave of another
	// measurement with it.
	TrustComputed Trust = "computed"
)

// Trusts returns the values that a Trust can have, the least first.
func Trusts() []Trust { return []Trust{TrustStated, TrustKnown, TrustComputed} }

// MarshalText implements [encoding.TextMarshaler].
func (t Trust) MarshalText() ([]byte, error) { return []byte(t), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Trust) UnmarshalText(text []byte) error {
	if v := Trust(text); slices.Contains(Trusts(), v) {
		*t = v
		return nil
	}
	return fmt.Errorf("unknown trust %q, want %s, %s or %s", text, TrustComputed, TrustKnown, TrustStated)
}

// AtLeast reports whether t is worth no less than least. The zero value is worth less
// than any.
func (t Trust) AtLeast(least Trust) bool {
	return slices.Index(Trusts(), t) >= slices.Index(Trusts(), least)
}

// Basis is what a measurement rests on. Its zero value is that of format none.
type Basis struct {
	Trust   Trust         `json:"trust"`
	Program string        `json:"program,omitempty"`  // path in the image of what printed the value; empty when it cannot be told
	Signer  *sgx.MRSIGNER `json:"mrsigner,omitempty"` // of TrustComputed
	Base    *Base         `json:"base,omitempty"`     // of TrustKnown
	Why     string        `json:"-"`                  // of TrustStated: why it is no more
}

func firstLayers(n int) string {
	if n == 1 {
		return "first layer"
	}
	return fmt.Sprintf("first %d layers", n)
}

// String says it in words.
func (b Basis) String() string {
	switch b.Trust {
	case TrustComputed:
		return fmt.Sprintf("computed here from the SIGSTRUCT in %s, signed by %s", b.Program, b.Signer)
	case TrustKnown:
		return fmt.Sprintf("printed by a known program: %s is byte for byte that of %s, in the image's %s, and prints it there alone too", b.Program, b.Base.Name, firstLayers(b.Base.count()))
	case TrustStated:
		return "stated by the image: " + b.Why
	}
	return "not measured"
}

// Check returns an [*UntrustedError] when the basis is worth less than least.
func (b Basis) Check(least Trust) error {
	if b.Trust == "" || b.Trust.AtLeast(least) {
		return nil
	}
	return &UntrustedError{b, least}
}

// UntrustedError says that a measurement rests on less than is demanded.
type UntrustedError struct {
	Basis Basis
	Least Trust
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("the measurement is %s, and has to be %s", e.Basis.Trust, e.Least)
}

// Evidence returns what it rests on.
func (e *UntrustedError) Evidence() [][2]string {
	where := e.Basis.Program
	if where == "" {
		where = "the image's ENTRYPOINT and CMD"
	}
	return [][2]string{{"expected", string(e.Least) + ", or better"}, {"actual", e.Basis.String()}, {"where", where}}
}
