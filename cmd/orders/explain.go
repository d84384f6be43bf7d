package orders

import (
	"errors"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/groups"
	"github.com/mrelease/mrelease/publish/names"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// Rules say what the errors mean of what is done with orders that are on sale.
func Rules() []usage.Rule {
	return []usage.Rule{
		usage.On(usage.Is[*record.RevokedError], "E-REVOKED", usage.ExitSignature, usage.Say("do not use this version: take another one, which its owner sells (mrelease rollback VERSION) or releases")),
		usage.On(usage.Is[*rotation.ElsewhereError], "E-REVOKER", usage.ExitPolicy, usage.Say("start the job at the reference of the release, such as: gh workflow run FILE --ref TAG; mrelease order close ends the sale meanwhile")),
		usage.On(usage.Is[*rotation.ReleaseError], "E-RELEASE-UNKNOWN", usage.ExitUsage, usage.Say("name one of the releases above, or check name, wallet and chain")),
		usage.On(usage.Is[*node.RevertedError], "E-REVERTED", usage.ExitChain, usage.Say("correct what the contract says above; invalid-sender-or-signature: the app is another wallet's by now")),
		usage.On(usage.Is[*node.UnclosedError], "E-ORDER-UNCLOSED", usage.ExitRPC, usage.Say("run the same command again; if it stays so, name another node (chains.<name>.rpc): this one shows an old state")),
		usage.On(usage.Is[*market.StillListedError], "E-ORDER-LISTED", usage.ExitNetwork, usage.Say("run the same command again; if it stays so, ask who runs the market: what was closed on chain cannot be matched, whatever the market shows")),
		usage.On(usage.Is[*rotation.UnretiredError], "E-ORDER-UNRETIRED", usage.ExitOrder, usage.Say("run the same command again: it retires them; if it stays so, ask who runs node and market, or who else has the wallet")),
		usage.On(usage.Is[*names.Error], "E-ENS", usage.ExitChain, adviceOf[*names.Error]),
		usage.On(usage.Is[*groups.Error], "E-GROUP", usage.ExitChain, adviceOf[*groups.Error]),
		usage.On(usage.Is[*node.UnmadeError], "E-CHAIN-UNMADE", usage.ExitRPC, usage.Say("run the same command again; if it stays so, name another node (chains.<name>.rpc): this one shows an old state")),
		usage.On(usage.Is[*orders.GenerationsError], "E-ORDER-GENERATIONS", usage.ExitOrder, usage.Say("sell it under other terms (another volume is enough), or release a new version")),
	}
}

// adviceOf is what a T among an error's causes says that knows its remedy; empty without one.
func adviceOf[T interface {
	error
	Remedy() string
}](err error) string {
	known, ok := errors.AsType[T](err)
	if !ok {
		return ""
	}
	return known.Remedy()
}
