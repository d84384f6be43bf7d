package poco_test

import (
	"testing"

	"github.com/mrelease/mrelease/poco"
)

// The second is EIP-137's own.
func TestNameHash(t *testing.T) {
	for name, want := range map[string]string{
		"foo.eth":      "0xde9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f",
		"addr.reverse": "0x91d1777781884d03a6757a803996e38de2a42967fb37eeaca72729271025a9e2",
		"Foo.eth":      "", "foo": "", "": "", "foo..eth": "", "fоo.eth": "", ".eth": "",
	} {
		got, err := poco.NameHash(name)
		if (err == nil) != (want != "") || err == nil && got.Hex() != want {
			t.Errorf("%q: %s, %v, want %q", name, got, err, want)
		}
	}
}

// One rule says what is taken for a name, wherever one can stand: that it cannot be resolved
// does not make it a file.
func TestIsENSName(t *testing.T) {
	for text, want := range map[string]bool{
		"foo.eth": true, "a.foo.eth": true, "Foo.ETH": true, "fоo.eth": true, "foo bar.eth": true, ".eth": true,
		"./foo.eth": false, "apps/foo.eth": false, `apps\foo.eth`: false, "foo.eth/": false, "foo": false, "addr.reverse": false, "foo.eth.json": false, "": false,
	} {
		if got := poco.IsENSName(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
