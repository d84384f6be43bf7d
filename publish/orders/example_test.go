package orders_test

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
)

// The salt follows from the app and the terms, so the same release makes the same
// order on every machine, and other terms another one.
func ExampleNew() {
	domain := poco.Chains()[0].Domain()
	app := common.HexToAddress("0x1111111111111111111111111111111111111111")
	terms := orders.Terms{Price: 0, Volume: 1_000_000, Tag: poco.TEE()}
	fmt.Println(orders.New(domain, app, terms).Salt)
	terms.Price = 1
	fmt.Println(orders.New(domain, app, terms).Salt)
	// Output:
	// 0x00b720ebef783d3a362e307a540a7b98ceb24bd66e0a909636971d43faffeca9
	// 0xa4b39aa60cc615dd99a73e0931f06b18a2e112ce315480906e21df196f3f401a
}
