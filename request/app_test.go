package request_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request"
)

// What a name lacks is seen without a network: letters that no name has, and a chain
// without names. What is no name is looked at elsewhere.
func TestCheckName(t *testing.T) {
	named, without := poco.Chain{Name: "named", ENS: common.Address{1}}, poco.Chain{Name: "without"}
	for _, c := range []struct {
		chain       poco.Chain
		name, wants string
	}{
		{named, "hello.apps.iexec.eth", ""}, {named, "Hello.apps.iexec.eth", "lower-case letters"}, {named, "hell\u043e.eth", "lower-case letters"},
		{named, "hello..eth", "lower-case letters"}, {without, "hello.apps.iexec.eth", "no registry of names"},
		{without, "", ""}, {named, "0x00000000000000000000000000000000000000aa", ""},
	} {
		err := request.CheckName(c.chain, c.name)
		failed, ok := errors.AsType[*node.NameError](err)
		if ok != (c.wants != "") || ok && !strings.Contains(failed.Problem, c.wants) {
			t.Errorf("%q on %s: %v, want %q", c.name, c.chain.Name, err, c.wants)
		}
		if err := request.CheckApp(c.chain, c.name); c.wants != "" && !errors.As(err, &failed) {
			t.Errorf("the app %q on %s: %v", c.name, c.chain.Name, err)
		}
	}
}
