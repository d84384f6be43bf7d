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

// go-ethereum's own EIP-712 code is the judge of ours, over the order as it is written.
func TestDatasetHashAgreesWithTypedDataLibrary(t *testing.T) {
	o := poco.SignedDatasetOrder{DatasetOrder: poco.DatasetOrder{
		Dataset: common.HexToAddress("0x01"), DatasetPrice: new(big.Int).Lsh(big.NewInt(1), 255), Volume: big.NewInt(2), Tag: poco.Tag{0: 0x80, 31: 1},
		AppRestrict: common.HexToAddress("0x04"), WorkerpoolRestrict: common.HexToAddress("0x05"), RequesterRestrict: common.HexToAddress("0x06"), Salt: common.HexToHash("0x07"),
	}, Sign: []byte{1, 2, 3}}
	d := poco.Domain{ChainID: 1 << 40, Hub: common.HexToAddress("0x55")}
	var fields []apitypes.Type
	for field := range strings.SplitSeq("address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt", ",") {
		typ, name, _ := strings.Cut(field, " ")
		fields = append(fields, apitypes.Type{Type: typ, Name: name})
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var read poco.SignedDatasetOrder
	if err := json.Unmarshal(text, &read); err != nil || !read.Equal(o) {
		t.Errorf("%s is read as %+v, %v", text, read, err)
	}
	var message apitypes.TypedDataMessage
	if err := json.Unmarshal(text, &message); err != nil {
		t.Fatal(err)
	}
	delete(message, "sign")
	want, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Type: "string", Name: "name"}, {Type: "string", Name: "version"}, {Type: "uint256", Name: "chainId"}, {Type: "address", Name: "verifyingContract"}},
			"DatasetOrder": fields,
		},
		PrimaryType: "DatasetOrder",
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
