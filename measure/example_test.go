package measure_test

import (
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/measure"
)

// What a chain stores of an enclave of the first generation.
func ExampleParseFingerprint() {
	text := strings.Repeat("ab", 32) + "|" + strings.Repeat("cd", 16) + "|" + strings.Repeat("ef", 32)
	f, err := measure.ParseFingerprint(text)
	fmt.Println(f.MRENCLAVE, err)
	_, err = measure.ParseFingerprint("ab|cd")
	fmt.Println(err)
	// Output:
	// efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef <nil>
	// fingerprint has 2 parts, want KEY|TAG|MRENCLAVE or KEY|TAG|MRENCLAVE|ENTRYPOINT
}
