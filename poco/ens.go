package poco

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// ensName matches the names that are resolved: letters that look like others, and those in
// upper case, take a normalization that nobody of iExec's names needs (ENSIP-15).
var ensName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$`)

// IsENSName reports whether a text is a name, and no address.
func IsENSName(text string) bool { return ensName.MatchString(text) && len(text) <= 255 }

// NameHash returns the node of a name in ENS (EIP-137).
func NameHash(name string) (node common.Hash, err error) {
	if !IsENSName(name) {
		return node, fmt.Errorf("name %q: want labels of lower-case letters, digits, - and _ that are joined by dots", name)
	}
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	for _, label := range labels {
		node = crypto.Keccak256Hash(node[:], crypto.Keccak256([]byte(label)))
	}
	return node, nil
}
