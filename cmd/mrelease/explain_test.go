package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/node"
)

// A node may write a megabyte into its error.
func TestAttackErrorOfManyWords(t *testing.T) {
	f := explain(&node.RPCError{URL: "http://node", Act: "asking", Err: errors.New(strings.Repeat("é", 1<<19))})
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

// Each code of the table is met by a script or a test of the program, or it is said here
// why none can meet it.
func TestEveryCodeIsMet(t *testing.T) {
	unmet := map[string]string{
		"E-NETWORK":        "the network would have to go down between two requests of one act; the first request's failure has its service's code",
		"E-ORDER-UNLISTED": "a market would have to have an order that its list has not, and answer both requests otherwise than the sandbox's can be told to; publishtest.TestOfferIsListed makes one",
		"E-OVERTAKEN":      "two runs of one release would have to push within the same milliseconds; publishtest.TestPushOvertaken makes them",
	}
	met := map[string]bool{}
	codes := regexp.MustCompile(`E-[A-Z]+(?:-[A-Z]+)*`)
	for _, pattern := range []string{"../../sandbox/e2e/testdata/*/*.txtar", "../../sandbox/e2e/*_test.go", "*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if file == "explain_test.go" {
				continue
			}
			for _, code := range codes.FindAllString(string(text), -1) {
				met[code] = true
			}
		}
	}
	for _, rule := range rules() {
		if reason := unmet[rule.code]; met[rule.code] == (reason != "") {
			t.Errorf("%s is met: %t; the reason why it cannot be: %q", rule.code, met[rule.code], reason)
		}
	}
}

// A network that goes down while something is read.
func TestExplainNetwork(t *testing.T) {
	down := fmt.Errorf("reading layer: %w", &url.Error{Op: "Get", URL: "http://127.0.0.1:1/v2/", Err: syscall.ECONNREFUSED})
	if f := explain(down); f.Code != "E-NETWORK" || f.Exit != exitNetwork {
		t.Errorf("got %s, %d", f.Code, f.Exit)
	}
}
