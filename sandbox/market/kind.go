package market

import (
	"strings"

	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// kind is one of the four kinds of orders: what they hold, and what the market
// asks of them.
type kind struct {
	name     string          // "apporder", as paths and messages have it
	typ      string          // "AppOrder", as EIP-712 and events have it
	fields   []apitypes.Type // without the signature
	resource string          // the field that says what is sold, or who buys
	price    string          // the field by which lists are sorted
	registry string          // the hub's getter of the resource's registry; empty: the resource signs for itself

	needsResource bool              // a list must name the resource or its owner
	equal         []string          // fields that a list can be narrowed by
	restrict      map[string]string // filters for restrictions -> field
}

// newKind reads the fields from the type string of IexecLibOrders_v5.
func newKind(encodeType string, k kind) *kind {
	name, list, _ := strings.Cut(strings.TrimSuffix(encodeType, ")"), "(")
	k.typ, k.name = name, strings.ToLower(name)
	for f := range strings.SplitSeq(list, ",") {
		typ, field, _ := strings.Cut(f, " ")
		k.fields = append(k.fields, apitypes.Type{Name: field, Type: typ})
	}
	return &k
}

func kinds() []*kind {
	restrict := func(names ...string) map[string]string {
		m := map[string]string{}
		for _, n := range names {
			m[n] = n + "restrict"
		}
		return m
	}
	return []*kind{
		newKind("AppOrder(address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)", kind{
			resource: "app", price: "appprice", registry: "appregistry", needsResource: true,
			equal: []string{"app"}, restrict: restrict("dataset", "workerpool", "requester"),
		}),
		newKind("DatasetOrder(address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)", kind{
			resource: "dataset", price: "datasetprice", registry: "datasetregistry", needsResource: true,
			equal: []string{"dataset"}, restrict: restrict("app", "workerpool", "requester"),
		}),
		newKind("WorkerpoolOrder(address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt)", kind{
			resource: "workerpool", price: "workerpoolprice", registry: "workerpoolregistry",
			equal: []string{"workerpool"}, restrict: restrict("app", "dataset", "requester"),
		}),
		newKind("RequestOrder(address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt)", kind{
			resource: "requester", price: "workerpoolmaxprice",
			equal: []string{"app", "dataset", "requester", "beneficiary"}, restrict: map[string]string{"workerpool": "workerpool"},
		}),
	}
}

func (k *kind) has(field string) bool {
	for _, f := range k.fields {
		if f.Name == field {
			return true
		}
	}
	return false
}
