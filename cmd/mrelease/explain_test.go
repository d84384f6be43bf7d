package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/publish/chain"
)

// A node may write a megabyte into its error.
func TestAttackErrorOfManyWords(t *testing.T) {
	f := explain(&chain.RPCError{URL: "http://node", Act: "asking", Err: errors.New(strings.Repeat("é", 1<<19))})
	if f.Code != "E-RPC" || len(f.What) > maxWords+100 || !strings.HasSuffix(f.What, " bytes more") {
		t.Errorf("got %s with %d bytes", f.Code, len(f.What))
	}
	for _, e := range f.Evidence {
		if len(e.Value) > maxWords+100 {
			t.Errorf("%s has %d bytes", e.Name, len(e.Value))
		}
	}
	if short := shortened("short"); short != "short" {
		t.Errorf("got %q", short)
	}
}
