//go:build !linux

package keys

// adviseHuge does nothing: other systems take no advice, or need none.
func adviseHuge([]byte) {}

// forgetProgram does nothing here.
func forgetProgram() {}
