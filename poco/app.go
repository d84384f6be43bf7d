package poco

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
)

// App is what AppRegistry.createApp writes for good. There is no setter: another
// value in any field is another app at another address.
type App struct {
	Owner     common.Address // holder of the ERC-721 token whose id is the app's address
	Name      string
	Type      string      // always TypeDocker
	Multiaddr []byte      // image reference in UTF-8: repository:tag, never @sha256 (workers split at the last colon)
	Checksum  common.Hash // digest of the image's manifest
	MREnclave []byte      // what the chain stores about the enclave; empty for TDX
}

// TypeDocker is the only app type that iExec's workers run.
const TypeDocker = "DOCKER"

// Equal reports whether all six fields are the same.
func (a App) Equal(b App) bool { return len(a.Diff(b)) == 0 }

// FieldDiff is a field in which two apps differ, both values as text.
type FieldDiff struct{ Field, A, B string }

// Diff returns the fields in which a and b differ.
func (a App) Diff(b App) []FieldDiff {
	var diffs []FieldDiff
	add := func(field, x, y string) {
		if x != y {
			diffs = append(diffs, FieldDiff{field, x, y})
		}
	}
	add("owner", a.Owner.Hex(), b.Owner.Hex())
	add("name", a.Name, b.Name)
	add("type", a.Type, b.Type)
	add("multiaddr", string(a.Multiaddr), string(b.Multiaddr))
	add("checksum", a.Checksum.Hex(), b.Checksum.Hex())
	if !bytes.Equal(a.MREnclave, b.MREnclave) {
		diffs = append(diffs, FieldDiff{"mrenclave", string(a.MREnclave), string(b.MREnclave)})
	}
	return diffs
}
