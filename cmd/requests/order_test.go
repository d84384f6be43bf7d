package requests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/poco"
)

// An app that was named by its address, in whatever letters, is not told as another one; what
// was named otherwise is told by its address.
func TestTellFound(t *testing.T) {
	at := common.HexToAddress("0x5FC8d32690cc91D4c39d9d3abcBD16989F875707")
	for named, want := range map[string]string{
		at.Hex(): "", strings.ToLower(at.Hex()): "", "0x" + strings.ToUpper(at.Hex()[2:]): "",
		"hello.eth": "hello.eth is the app " + at.Hex(), "dist/record.json": "dist/record.json is the app " + at.Hex(),
	} {
		var told []string
		s := shell{Program: usage.Program{Note: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}}
		s.tellFound(wanted{app: named}, poco.RequestOrder{App: at})
		if got := strings.Join(told, "; "); got != want {
			t.Errorf("%s: %q, want %q", named, got, want)
		}
	}
}
