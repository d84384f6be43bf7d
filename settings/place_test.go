package settings_test

import (
	"fmt"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

func TestPlaceOfAProblem(t *testing.T) {
	for where, want := range map[string]string{
		"mrelease.yaml:3:15": "mrelease.yaml 3 15", "a:b/m.yml:7": "a:b/m.yml 7 0", "mrelease.yaml": "mrelease.yaml 0 0",
		"a.yaml, b.yaml": " 0 0", "environment MRELEASE_CHAIN": " 0 0", "flag --chain": " 0 0", "chains": " 0 0", "": " 0 0",
		"m.yaml:99999999999999999999:1": "m.yaml 9223372036854775807 1",
	} {
		file, line, column := settings.Problem{Where: where}.Place()
		if got := fmt.Sprint(file, " ", line, " ", column); got != want {
			t.Errorf("%q: %q, want %q", where, got, want)
		}
	}
}
