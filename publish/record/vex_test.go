package record_test

import (
	"strings"
	"testing"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/vex"
)

// What is said of vulnerabilities is told in one line, whatever their names and their number.
func TestAssessed(t *testing.T) {
	said := func(status vex.Status, names ...string) (all []vex.Statement) {
		for _, name := range names {
			all = append(all, vex.Statement{Vulnerability: name, Status: status})
		}
		return all
	}
	for want, statements := range map[string][]vex.Statement{
		"nothing": nil,
		"2 affected (CVE-2, CVE-3), 1 under_investigation (GHSA-x-y), 1 not_affected, 1 fixed": append(append(said(vex.NotAffected, "CVE-1"), said(vex.Affected, "CVE-2", "CVE-3")...), append(said(vex.UnderInvestigation, "GHSA-x-y"), said(vex.Fixed, "CVE-4")...)...),
		"6 affected (a, b, c, d, e and 1 more)":                                                said(vex.Affected, "a", "b", "c", "d", "e", "f"),
		`1 affected ("a), 9 fixed (b")`:                                                        said(vex.Affected, "a), 9 fixed (b"),
		`1 affected ("\x1b[2K\u202e")`:                                                         said(vex.Affected, "\x1b[2K\u202e"),
		`1 affected ("` + strings.Repeat("A", 60) + `")`:                                       said(vex.Affected, strings.Repeat("A", 1000)),
	} {
		if got := record.Assessed(statements); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
