package orders

import (
	"errors"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// Exit codes, as package main has them.
const (
	exitUsage     = 2
	exitSignature = 12 // of an image or a record; or it was withdrawn
	exitChain     = 13 // the chain holds something else
	exitOrder     = 14 // an order cannot be matched, or opened
	exitNetwork   = 20
	exitRPC       = 22
)

// rule says what an error means. The first rule that matches counts.
type rule struct {
	matches func(error) bool
	code    string
	exit    int
	remedy  string
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Explain returns code, exit code and remedy of the errors of what is done with orders
// that are on sale; "" for others.
func Explain(err error) (code string, exit int, remedy string) {
	for _, r := range rules() {
		if r.matches(err) {
			return r.code, r.exit, r.remedy
		}
	}
	return "", 0, ""
}

func rules() []rule {
	return []rule{
		{is[*record.RevokedError], "E-REVOKED", exitSignature, "do not use this version: take another one, which its owner sells or releases"},
		{is[*rotation.ReleaseError], "E-RELEASE-UNKNOWN", exitUsage, "name one of the releases above, or check name, wallet and chain"},
		{is[*node.RevertedError], "E-REVERTED", exitChain, "correct what the contract says above; invalid-sender-or-signature: the app is another wallet's by now"},
		{is[*node.UnclosedError], "E-ORDER-UNCLOSED", exitRPC, "run the same command again; if it stays so, name another node (chains.<name>.rpc): this one shows an old state"},
		{is[*market.StillListedError], "E-ORDER-LISTED", exitNetwork, "run the same command again; if it stays so, ask who runs the market: what was closed on chain cannot be matched, whatever the market shows"},
		{is[*orders.GenerationsError], "E-ORDER-GENERATIONS", exitOrder, "sell it under other terms (another volume is enough), or release a new version"},
	}
}
