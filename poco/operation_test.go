package poco_test

import (
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// The selector is that of manageAppOrder(((address,uint256,uint256,bytes32,address,address,address,bytes32,bytes),uint8,bytes)).
func TestClosing(t *testing.T) {
	order := poco.AppOrder{App: common.Address{1}, AppPrice: big.NewInt(2), Volume: big.NewInt(3), Tag: poco.TEE(), RequesterRestrict: common.Address{4}, Salt: common.Hash{5}}
	method, argument := order.Closing(nil)
	data, err := poco.HubABI().Pack(method, argument)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{
		"20",              // the operation
		"60", "1", "01a0", // its order, its number (CLOSE), its signature
		"01" + strings.Repeat("0", 38), "02", "03", // app, price, volume
		"1", "0", "0", "04" + strings.Repeat("0", 38), // tag, restrictions
		"05" + strings.Repeat("0", 62), "0120", "0", "0", // salt, no signature of the order, none of the operation
	}
	want := "b2b07e66"
	for _, word := range words {
		want += strings.Repeat("0", 64-len(word)) + word
	}
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
