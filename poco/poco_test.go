package poco_test

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

func TestParseTag(t *testing.T) {
	for _, tt := range []struct{ in, want, names string }{
		{"tee", "01", "tee"},
		{"tee,scone", "03", "tee,scone"},
		{"tee, tdx", "09", "tee,tdx"},
		{"gpu", "0100", "gpu"},
		{"0x1", "01", "tee"},
		{"0x0000000000000000000000000000000000000000000000000000000000000103", "0103", "tee,scone,gpu"},
		{"0x0", "", ""},
		{"0x80", "80", "bit7"},
	} {
		tag, err := poco.ParseTag(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if want := "0x" + strings.Repeat("0", 64-len(tt.want)) + tt.want; tag.String() != want {
			t.Errorf("%q = %s, want %s", tt.in, tag, want)
		}
		if names := strings.Join(tag.Names(), ","); names != tt.names {
			t.Errorf("%q has the bits %s, want %s", tt.in, names, tt.names)
		}
	}
	for _, in := range []string{"", "0x", "tee,sgx", "0xzz", "0x" + strings.Repeat("0", 65), "1"} {
		if tag, err := poco.ParseTag(in); err == nil {
			t.Errorf("%q was accepted as %s", in, tag)
		}
	}
}

func FuzzParseTag(f *testing.F) {
	for _, s := range []string{"tee", "tee,scone", "0x1", "0x0103", ",", "0x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := poco.ParseTag(s)
		if err != nil {
			return
		}
		again, err := poco.ParseTag(tag.String())
		if err != nil || again != tag {
			t.Errorf("%q is %s, which reads as %s (%v)", s, tag, again, err)
		}
	})
}

// A profile cannot declare one of iExec's own hubs a development chain.
func TestProductionHubsAreNeverDevelopment(t *testing.T) {
	for _, c := range poco.Chains() {
		c.Development = true
		if c.IsDevelopment() {
			t.Errorf("%s passes as a development chain", c.Name)
		}
		c.ID, c.Name = 1337, "mine"
		if c.IsDevelopment() {
			t.Errorf("the hub %s passes as a development chain under another chain id", c.Hub)
		}
	}
	local := poco.Chain{ID: 134, Hub: common.HexToAddress("0x01"), Development: true}
	if !local.IsDevelopment() {
		t.Error("a local hub that asks for it is no development chain")
	}
	local.Development = false
	if local.IsDevelopment() {
		t.Error("a local hub is a development chain without asking for it")
	}
}

func TestAppDiff(t *testing.T) {
	a := poco.App{Name: "a", Type: poco.TypeDocker, MREnclave: []byte("x")}
	if !a.Equal(a) {
		t.Error("an app differs from itself")
	}
	b := a
	b.Name, b.Checksum = "b", common.HexToHash("0x01")
	diff := a.Diff(b)
	if len(diff) != 2 || diff[0] != (poco.FieldDiff{Field: "name", A: "a", B: "b"}) || diff[1].Field != "checksum" {
		t.Errorf("diff = %v", diff)
	}
}
