package toolchain

import "slices"

// The faults that SCONE_STANDIN_FAULT makes.
const (
	faultShortKey  = "short-key"  // encrypt prints a key of 63 digits
	faultNoise     = "noise"      // hash mode prints a log line on standard output
	faultEmpty     = "empty"      // hash mode prints nothing
	faultTwoHashes = "two-hashes" // hash mode prints two measurements
	faultExit141   = "exit-141"   // hash mode ends as a broken pipe does
	faultHang      = "hang"       // hash mode does not end
)

// Faults returns the values of SCONE_STANDIN_FAULT.
func Faults() []string {
	return []string{faultShortKey, faultNoise, faultEmpty, faultTwoHashes, faultExit141, faultHang}
}

func isFault(v string) bool { return v == "" || slices.Contains(Faults(), v) }
