package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/cmd/canaries"
	"github.com/mrelease/mrelease/cmd/orders"
	"github.com/mrelease/mrelease/cmd/requests"
	"github.com/mrelease/mrelease/cmd/usage"
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
		"E-CHAIN-UNMADE":      "a resolver or a group would have to take a call and not heed it",
		"E-CLAIM-EARLY":       "requesttest.TestClaim makes one, in the library",
		"E-MATCH-REFUSED":     "orders would have to be overtaken within milliseconds; requesttest.TestOvertaken makes them",
		"E-NETWORK":           "the network would have to go down between two requests of one act; the first request's failure has its service's code",
		"E-CONTROL":           "the program's own verifier would have to be broken; registry.TestControl breaks one",
		"E-ORDER-GENERATIONS": "an order would have to be closed 64 times",
		"E-ORDER-LISTED":      "the market would have to say yes and do nothing; publishtest.TestRotationWithFailingServices makes that",
		"E-ORDER-UNCLOSED":    "the hub would have to take a closing and not heed it",
		"E-RESULT-PLACE":      "the sandbox's worker has IPFS alone",
		"E-RESULT-REFUSED":    "the sandbox's worker packs what no attacker would; result.TestAttackNames does otherwise",
		"E-REVERTED":          "the chain would have to change between the look and the closing; publishtest.TestReverts makes that",
		"E-TASK-FAILED":       "requesttest.TestClaim makes one, in the library",
		"E-TASK-LATE":         "requesttest.TestClaim makes one, in the library",
		"E-ORDER-UNLISTED":    "a market would have to have an order that its list has not, and answer both requests otherwise than the sandbox's can be told to; publishtest.TestOfferIsListed makes one",
		"E-OVERTAKEN":         "two runs of one release would have to push within the same milliseconds; publishtest.TestPushOvertaken makes them",
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
	for _, rule := range slices.Concat(canaries.Rules(), orders.Rules(), requests.Rules(), rules()) {
		if reason := unmet[rule.Code]; met[rule.Code] == (reason != "") {
			t.Errorf("%s is met: %t; the reason why it cannot be: %q", rule.Code, met[rule.Code], reason)
		}
	}
}

// A network that goes down while something is read.
func TestExplainNetwork(t *testing.T) {
	down := fmt.Errorf("reading layer: %w", &url.Error{Op: "Get", URL: "http://127.0.0.1:1/v2/", Err: syscall.ECONNREFUSED})
	if f := explain(down); f.Code != "E-NETWORK" || f.Exit != usage.ExitNetwork {
		t.Errorf("got %s, %d", f.Code, f.Exit)
	}
}
