//go:build interop

package interop

import (
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
)

// isRead lets ours read an app, an order and a wallet file that the command line
// made.
func (c *cli) isRead(t *testing.T) {
	c.call(t, append(append([]string{"app", "init"}, c.init...), c.local(c.owner)...)...)
	app := common.HexToAddress(text(t, c.as(t, c.owner, "app", "deploy"), "address"))
	published := c.as(t, c.owner, "app", "publish", app.Hex(), "--price", "1", "--volume", "7", "--tag", c.tag, "--force")
	hash := common.HexToHash(text(t, published, "orderHash"))

	client, err := node.Connect(t.Context(), poco.Chain{Name: c.chain.Name, ID: c.chain.ID, RPC: c.chain.RPC, Hub: c.chain.Hub})
	must(t, err)
	there, err := apps.Read(t.Context(), client, app)
	if err != nil || there.Owner.Hex() != address(c.owner) || there.Type != poco.TypeDocker {
		t.Errorf("app reads as %+v, %v", there, err)
	}
	order, err := market.Find[poco.SignedAppOrder](t.Context(), market.Client{URL: c.Market, ChainID: c.chain.ID}, hash)
	must(t, err)
	if order.Order.Hash(client.Domain()) != hash || order.Order.Volume.Int64() != 7 || order.Order.App != app {
		t.Errorf("order reads as %+v", order)
	}
	_, err = node.CheckOrder(t.Context(), client, order.Order, there.Owner)
	must(t, err)
	file, err := node.FindKeystore(c.Dir, there.Owner)
	must(t, err)
	wallet, err := node.OpenKeystore(file, []byte(walletPassword))
	if err != nil || wallet.Address != there.Owner {
		t.Errorf("wallet %s opens as %s, %v", file, wallet.Address, err)
	}
}

// viewDeal asks a hub for a deal.
func viewDeal(hub common.Address, id common.Hash) ethereum.CallMsg {
	return ethereum.CallMsg{To: &hub, Data: append(hexutil.MustDecode("0xb74861b2"), id[:]...)}
}
