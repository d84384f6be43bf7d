package poco

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// ensName matches the names that have a node here: letters that look like others, and those in
// upper case, take a normalization that nobody of iExec's names needs (ENSIP-15).
var ensName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$`)

// IsENSName reports whether what is named is a name of ENS, be it one that can be resolved or
// not, and whatever files there are: it ends with .eth, in any case, and is no path.
func IsENSName(named string) bool {
	return strings.HasSuffix(strings.ToLower(named), ".eth") && !strings.ContainsAny(named, `/\`)
}

// NameHash returns the node of a name in ENS (EIP-137). Its error says what is no name, which
// is not made to fit.
func NameHash(name string) (node common.Hash, err error) {
	if !ensName.MatchString(name) || len(name) > 255 {
		return node, fmt.Errorf("name %q: want labels of lower-case letters, digits, - and _ that are joined by dots", name)
	}
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	for _, label := range labels {
		node = crypto.Keccak256Hash(node[:], crypto.Keccak256([]byte(label)))
	}
	return node, nil
}
