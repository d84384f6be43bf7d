package poco_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/poco"
)

func largeOffer() poco.SignedWorkerpoolOrder {
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	return poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{
		Workerpool: common.HexToAddress("0x01"), WorkerpoolPrice: most, Volume: big.NewInt(2), Tag: poco.Tag{0: 0x80, 31: 1},
		Category: big.NewInt(3), Trust: most, AppRestrict: common.HexToAddress("0x04"), DatasetRestrict: common.HexToAddress("0x05"),
		RequesterRestrict: common.HexToAddress("0x06"), Salt: common.HexToHash("0x07"),
	}, Sign: []byte{1, 2, 3}}
}

// go-ethereum's own EIP-712 code is the judge of ours.
func TestWorkerpoolHashAgreesWithTypedDataLibrary(t *testing.T) {
	o, d := largeOffer(), poco.Domain{ChainID: 1 << 40, Hub: common.HexToAddress("0x55")}
	var fields []apitypes.Type
	for field := range strings.SplitSeq("address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt", ",") {
		typ, name, _ := strings.Cut(field, " ")
		fields = append(fields, apitypes.Type{Type: typ, Name: name})
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var message apitypes.TypedDataMessage
	if err := json.Unmarshal(text, &message); err != nil {
		t.Fatal(err)
	}
	delete(message, "sign")
	want, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain":    {{Type: "string", Name: "name"}, {Type: "string", Name: "version"}, {Type: "uint256", Name: "chainId"}, {Type: "address", Name: "verifyingContract"}},
			"WorkerpoolOrder": fields,
		},
		PrimaryType: "WorkerpoolOrder",
		Domain:      apitypes.TypedDataDomain{Name: poco.DomainName, Version: poco.DomainVersion, ChainId: math.NewHexOrDecimal256(int64(d.ChainID)), VerifyingContract: d.Hub.Hex()},
		Message:     message,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Hash(d); got != common.BytesToHash(want) {
		t.Errorf("hash %s, want %x", got, want)
	}
}

func TestWorkerpoolOrderJSON(t *testing.T) {
	text, err := json.Marshal(largeOffer())
	if err != nil {
		t.Fatal(err)
	}
	var read poco.SignedWorkerpoolOrder
	if err := json.Unmarshal(text, &read); err != nil || !read.Equal(largeOffer()) {
		t.Errorf("%s is read as %+v, %v", text, read, err)
	}
	for _, field := range []string{"workerpoolprice", "volume", "tag", "category", "trust", "salt"} {
		var o map[string]any
		if err := json.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
		delete(o, field)
		lacking, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(lacking, &read); err == nil {
			t.Errorf("an order without %s was accepted", field)
		}
	}
}
