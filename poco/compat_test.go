package poco_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/poco"
)

func TestCompatibility(t *testing.T) {
	legacy := strings.Repeat("a", 64) + "|" + strings.Repeat("b", 32) + "|" + strings.Repeat("c", 64)
	short := func(framework string) string {
		return `{"framework":"` + framework + `","version":"v5.9","fingerprint":"` + strings.Repeat("c", 64) + `"}`
	}
	object := func(framework string) string {
		return strings.Replace(short(framework), `,"fing`, `,"entrypoint":"/app","heapSize":1,"fing`, 1)
	}
	const (
		tee   = "requesters of a TEE"
		sdk5  = "iExec's SDK 5"
		sdk8  = "iExec's SDK 8"
		sdk9  = "iExec's SDK 9"
		sched = "iExec's scheduler and secret service"
	)
	for _, tt := range []struct {
		name, tag, mrenclave string
		want                 []string
	}{
		{"the default", "tee", legacy, []string{sdk8, sdk9, sched}},
		{"a legacy value under a framework's tag", "tee,scone", legacy, []string{sdk5, sdk8, sdk9}},
		{"SCONE 5", "tee,scone", object("SCONE"), []string{sdk5, sdk9}},
		{"another framework's tag", "tee,gramine", object("SCONE"), []string{sdk5, sdk8, sdk9}},
		{"an object under the bare tag", "tee", object("SCONE"), []string{sdk8, sdk9, sched}},
		{"TDX", "tee,tdx", "", []string{sdk5}},
		{"TDX without its tag", "0x0", "", []string{sdk9}},
		{"an enclave without a tag", "0x0", legacy, []string{tee, sdk9, sched}},
		{"a framework without tee", "scone", object("SCONE"), []string{tee, sdk5, sdk8, sdk9, sched}},
		{"two frameworks", "tee,scone,tdx", object("SCONE"), []string{sdk5, sdk8, sdk9, sched}},
		{"a framework without entrypoint and heap", "tee,gramine", short("GRAMINE"), []string{sdk5, sdk9}},
		{"keys of another framework", "tee,gramine", object("GRAMINE"), []string{sdk5, sdk8, sdk9}},
		{"TDX with keys of another", "tee,tdx", object("TDX"), []string{sdk5, sdk8, sdk9}},
		{"TDX with a value", "tee,tdx", short("TDX"), []string{sdk5, sdk9}},
		{"an object that lacks keys", "tee,scone", short("SCONE"), []string{sdk5, sdk8, sdk9}},
		{"an unknown framework", "tee,scone", object("SCONIFY"), []string{sdk5, sdk8, sdk9}},
		{"a GPU", "tee,gpu", legacy, []string{sdk8, sdk9, sched}},
		{"a bit that nobody knows", "0x11", legacy, []string{sdk5, sdk8, sdk9, sched}},
		{"a GPU beside", "tee,scone,gpu", object("SCONE"), []string{sdk5, sdk9}},
	} {
		tag, err := poco.ParseTag(tt.tag)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range poco.Compatibility(tag, []byte(tt.mrenclave)) {
			if o.Why == "" {
				t.Errorf("%s: no reason for %s", tt.name, o.Who)
			}
			got = append(got, o.Who)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q cannot match, want %q", tt.name, got, tt.want)
		}
	}
}
