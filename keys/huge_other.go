//go:build !linux

package keys

// adviseHuge does nothing: other systems take no advice, or need none.
func adviseHuge([]byte) {}

// program is nothing here.
type program struct{}

func findProgram() program { return program{} }

// forget does nothing here.
func (program) forget() {}
