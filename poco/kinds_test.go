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

// The four kinds of orders, with values of every size.
func TestKinds(t *testing.T) {
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	tag, sign := poco.Tag{0: 0x80, 30: 1, 31: 5}, []byte{1, 2, 3}
	address := func(n int64) common.Address { return common.BigToAddress(big.NewInt(n)) }
	salt := common.HexToHash("0x09")
	testKind(t, "AppOrder", "address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt",
		poco.SignedAppOrder{AppOrder: poco.AppOrder{
			App: address(1), AppPrice: most, Volume: big.NewInt(2), Tag: tag,
			DatasetRestrict: address(2), WorkerpoolRestrict: address(3), RequesterRestrict: address(4), Salt: salt,
		}, Sign: sign})
	testKind(t, "DatasetOrder", "address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt",
		poco.SignedDatasetOrder{DatasetOrder: poco.DatasetOrder{
			Dataset: address(1), DatasetPrice: most, Volume: big.NewInt(2), Tag: tag,
			AppRestrict: address(2), WorkerpoolRestrict: address(3), RequesterRestrict: address(4), Salt: salt,
		}, Sign: sign})
	testKind(t, "WorkerpoolOrder", "address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt",
		poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{
			Workerpool: address(1), WorkerpoolPrice: most, Volume: big.NewInt(2), Tag: tag, Category: big.NewInt(3), Trust: most,
			AppRestrict: address(2), DatasetRestrict: address(3), RequesterRestrict: address(4), Salt: salt,
		}, Sign: sign})
	testKind(t, "RequestOrder", "address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt",
		poco.SignedRequestOrder{RequestOrder: largeRequest(), Sign: sign})
}

// testKind lets go-ethereum's own EIP-712 code judge an order's hash, over the order as it
// is written; reads it back; and leaves out each of its members.
func testKind[T interface {
	Hash(d poco.Domain) common.Hash
	Equal(p T) bool
}](t *testing.T, kind, members string, o T,
) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var read T
	if err := json.Unmarshal(text, &read); err != nil || !read.Equal(o) {
		t.Errorf("%s %s is read as %+v, %v", kind, text, read, err)
	}
	d := poco.Domain{ChainID: 1 << 40, Hub: common.HexToAddress("0x5555555555555555555555555555555555555555")}
	if got, want := o.Hash(d), judged(t, kind, members, text, d); got != want {
		t.Errorf("%s: hash %s, want %s", kind, got, want)
	}
	for member := range strings.SplitSeq(members, ",") {
		typ, name, _ := strings.Cut(member, " ")
		for _, null := range []bool{false, true} {
			if err := json.Unmarshal(without(t, text, name, null), &read); (err == nil) != (typ == "address") {
				t.Errorf("%s without %s (null: %t): %v", kind, name, null, err)
			}
		}
	}
}

// judged is the hash of an order as go-ethereum computes it.
func judged(t *testing.T, kind, members string, order []byte, d poco.Domain) common.Hash {
	t.Helper()
	var message apitypes.TypedDataMessage
	if err := json.Unmarshal(order, &message); err != nil {
		t.Fatal(err)
	}
	delete(message, "sign")
	var fields []apitypes.Type
	for member := range strings.SplitSeq(members, ",") {
		typ, name, _ := strings.Cut(member, " ")
		fields = append(fields, apitypes.Type{Type: typ, Name: name})
	}
	hash, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Type: "string", Name: "name"}, {Type: "string", Name: "version"}, {Type: "uint256", Name: "chainId"}, {Type: "address", Name: "verifyingContract"}},
			kind:           fields,
		},
		PrimaryType: kind,
		Domain:      apitypes.TypedDataDomain{Name: poco.DomainName, Version: poco.DomainVersion, ChainId: math.NewHexOrDecimal256(int64(d.ChainID)), VerifyingContract: d.Hub.Hex()},
		Message:     message,
	})
	if err != nil {
		t.Fatal(err)
	}
	return common.BytesToHash(hash)
}

// without returns an order that lacks a member, or has null in its place.
func without(t *testing.T, order []byte, member string, null bool) []byte {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(order, &o); err != nil {
		t.Fatal(err)
	}
	if _, ok := o[member]; !ok {
		t.Fatalf("%s has no %s", order, member)
	}
	delete(o, member)
	if null {
		o[member] = nil
	}
	lacking, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return lacking
}

// Amounts are decimal strings, numbers, or hex, as SDK, market and people write them. A
// negative one would have the hash, and so the signature, of the positive one.
func TestAmounts(t *testing.T) {
	for text, valid := range map[string]bool{`"7"`: true, `7`: true, `"0x7"`: true, `"-7"`: false, `-7`: false, `"-0x7"`: false, `1.5`: false, `true`: false, `"1e3"`: false, `"1` + strings.Repeat("0", 80) + `"`: false} {
		order := `{"appprice":` + text + `,"volume":1,"tag":"0x01","salt":"0x` + strings.Repeat("0", 64) + `"}`
		var o poco.SignedAppOrder
		err := json.Unmarshal([]byte(order), &o)
		if valid != (err == nil) || valid && o.AppPrice.Int64() != 7 {
			t.Errorf("%s: %v, %v", text, o.AppPrice, err)
		}
	}
}
