package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
)

// buy buys runs of a record's order: it matches the order with others of the
// script's wallet, on chain; or the hub refuses that.
//
//	buy RECORD NUMBER [refused]
func buy(ts *testscript.TestScript, s *script, args []string) {
	refused := len(args) == 3 && args[2] == "refused"
	if len(args) != 2 && !refused {
		ts.Fatalf("usage: buy RECORD NUMBER [refused]")
	}
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	err := owned{s.chainOf(r.App.ChainID), s.world.Market, s.key}.buy(context.Background(), r.Order.Signed, args[1])
	if refused && err == nil {
		ts.Fatalf("the hub matches the order of %s", args[0])
	}
	if refused && strings.Contains(err.Error(), "revert") {
		return
	}
	ts.Check(err)
}

// chainOf is the world's chain of an id.
func (s *script) chainOf(id uint64) world.Chain {
	if id == s.world.V5.ID {
		return s.world.V5
	}
	return s.world.V6
}

// pass lets time pass on the chain:
//
//	pass DURATION
func pass(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pass DURATION")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Check(s.world.V6.Advance(d))
}

// crowd publishes more orders for a record's app, each at another price.
//
//	crowd RECORD NUMBER
func crowd(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: crowd RECORD NUMBER")
	}
	ctx := context.Background()
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	number, err := strconv.ParseUint(args[1], 10, 16)
	ts.Check(err)
	c := s.world.V6
	client, err := node.Connect(ctx, poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	ts.Check(err)
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(s.key)))
	ts.Check(err)
	for price := range number {
		terms := orders.Terms{Price: 1 + price, Volume: 1, Tag: poco.TEE(), RequesterRestrict: wallet.Address}
		_, err := orders.Offer(ctx, client, market.Client{URL: s.world.Market, ChainID: c.ID}, wallet, orders.New(client.Domain(), common.Address(r.App.Address), terms))
		ts.Check(err)
	}
}

// The orders of a deal, as IexecLibOrders_v5 has them.
const (
	appOrder        = "AppOrder(address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	datasetOrder    = "DatasetOrder(address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	workerpoolOrder = "WorkerpoolOrder(address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt)"
	requestOrder    = "RequestOrder(address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt)"
)

func (o owned) buy(ctx context.Context, sold poco.SignedAppOrder, volume string) error {
	nonce, err := o.chain.Client.PendingNonceAt(ctx, o.address())
	if err != nil {
		return err
	}
	description, salt := fmt.Sprintf("pool %d", nonce), common.BigToHash(new(big.Int).SetUint64(nonce)).Hex() // of this deal
	pool, err := o.predictWorkerpool(ctx, description)
	if err != nil {
		return err
	}
	if err := o.transact(ctx, o.chain.WorkerpoolRegistry, "createWorkerpool", o.address(), description); err != nil {
		return err
	}
	me, app, tag := o.address().Hex(), sold.App.Hex(), sold.Tag.String()
	offer, err := o.signed(ctx, workerpoolOrder, map[string]string{"workerpool": pool.Hex(), "volume": volume, "tag": tag})
	if err != nil {
		return err
	}
	request, err := o.signed(ctx, requestOrder, map[string]string{"app": app, "appmaxprice": sold.AppPrice.String(), "requester": me, "beneficiary": me, "volume": volume, "tag": tag, "salt": salt})
	if err != nil {
		return err
	}
	data, err := matchOrders(dealOrder{appOrder, map[string]string{
		"app": app, "appprice": sold.AppPrice.String(), "volume": sold.Volume.String(), "tag": tag, "salt": sold.Salt.Hex(), "sign": hexutil.Encode(sold.Sign),
		"datasetrestrict": sold.DatasetRestrict.Hex(), "workerpoolrestrict": sold.WorkerpoolRestrict.Hex(), "requesterrestrict": sold.RequesterRestrict.Hex(),
	}}, dealOrder{datasetOrder, nil}, offer, request)
	if err != nil {
		return err
	}
	return o.send(ctx, o.chain.Hub, data)
}

func (o owned) predictWorkerpool(ctx context.Context, description string) (common.Address, error) {
	data, err := ownersMethods.Pack("predictWorkerpool", o.address(), description)
	if err != nil {
		return common.Address{}, err
	}
	var out hexutil.Bytes
	err = o.chain.Client.Client().CallContext(ctx, &out, "eth_call", map[string]any{"to": o.chain.WorkerpoolRegistry, "data": hexutil.Bytes(data)}, "latest")
	return common.BytesToAddress(out), err
}

// dealOrder is one of a deal's orders; values that are not set are zero.
type dealOrder struct {
	encodeType string
	values     map[string]string
}

// fields are the order's, with their values.
func (d dealOrder) fields() (fields []apitypes.Type, values map[string]string) {
	_, list, _ := strings.Cut(strings.TrimSuffix(d.encodeType, ")"), "(")
	values = map[string]string{}
	zero := map[string]string{"address": common.Address{}.Hex(), "uint256": "0", "bytes32": common.Hash{}.Hex()}
	for f := range strings.SplitSeq(list, ",") {
		typ, name, _ := strings.Cut(f, " ")
		fields, values[name] = append(fields, apitypes.Type{Name: name, Type: typ}), zero[typ]
	}
	maps.Copy(values, d.values)
	return fields, values
}

// signed makes an order of the wallet.
func (o owned) signed(ctx context.Context, encodeType string, values map[string]string) (dealOrder, error) {
	fields, all := dealOrder{encodeType, values}.fields()
	message := apitypes.TypedDataMessage{}
	for name, value := range all {
		message[name] = value
	}
	name, _, _ := strings.Cut(encodeType, "(")
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(o.key)))
	if err != nil {
		return dealOrder{}, err
	}
	sign, err := wallet.SignTypedData(ctx, apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"}},
			name:           fields,
		},
		PrimaryType: name, Message: message,
		Domain: apitypes.TypedDataDomain{Name: poco.DomainName, Version: poco.DomainVersion, ChainId: math.NewHexOrDecimal256(int64(o.chain.ID)), VerifyingContract: o.chain.Hub.Hex()},
	})
	all["sign"] = hexutil.Encode(sign)
	return dealOrder{encodeType, all}, err
}

// matchOrders encodes the call that makes a deal.
func matchOrders(orders ...dealOrder) ([]byte, error) {
	var types abi.Arguments
	var tuples []any
	var names []string
	for _, order := range orders {
		typ, value, err := order.tuple()
		if err != nil {
			return nil, err
		}
		types, tuples, names = append(types, abi.Argument{Type: typ}), append(tuples, value), append(names, typ.String())
	}
	packed, err := types.Pack(tuples...)
	return append(crypto.Keccak256([]byte("matchOrders(" + strings.Join(names, ",") + ")"))[:4], packed...), err
}

// tuple is the order as the hub takes it, with its signature.
func (d dealOrder) tuple() (abi.Type, any, error) {
	fields, values := d.fields()
	fields = append(fields, apitypes.Type{Name: "sign", Type: "bytes"})
	var components []abi.ArgumentMarshaling
	for _, f := range fields {
		components = append(components, abi.ArgumentMarshaling{Name: f.Name, Type: f.Type})
	}
	typ, err := abi.NewType("tuple", "", components)
	if err != nil {
		return typ, nil, err
	}
	tuple := reflect.New(typ.GetType()).Elem()
	for i, f := range fields {
		var value any = values[f.Name]
		switch f.Type {
		case "address":
			value = common.HexToAddress(values[f.Name])
		case "uint256":
			value, _ = new(big.Int).SetString(values[f.Name], 10)
		case "bytes32":
			value = [32]byte(common.HexToHash(values[f.Name]))
		case "bytes":
			value = common.FromHex(values[f.Name])
		}
		tuple.Field(i).Set(reflect.ValueOf(value).Convert(tuple.Field(i).Type()))
	}
	return typ, tuple.Interface(), nil
}

// foreign publishes an order for a record's app that mrelease did not make.
//
//	foreign RECORD
func foreign(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: foreign RECORD")
	}
	ctx := context.Background()
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	c := s.world.V6
	client, err := node.Connect(ctx, poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	ts.Check(err)
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(s.key)))
	ts.Check(err)
	order := r.Order.Signed.AppOrder
	order.Salt = common.Hash{1}
	_, err = orders.Offer(ctx, client, market.Client{URL: s.world.Market, ChainID: c.ID}, wallet, order)
	ts.Check(err)
}

// impostor registers an app that has the name and the owner of a record's, as anybody can,
// with an image of its own; or, with a name, of the record's image and that name, as iExec's
// command line registers apps.
//
//	impostor RECORD VERSION [NAME]     \n and \e in the name are a line feed and an escape
func impostor(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: impostor RECORD VERSION [NAME]")
	}
	ctx := context.Background()
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	c := s.world.V6
	client, err := node.Connect(ctx, poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	ts.Check(err)
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(0))))
	ts.Check(err)
	app, err := apps.Read(ctx, client, common.Address(r.App.Address))
	ts.Check(err)
	repository, _, _ := strings.Cut(string(app.Multiaddr), ":"+r.Version)
	if app.Checksum = (common.Hash{7}); len(args) == 3 {
		app.Checksum, app.Name = r.App.Checksum, strings.NewReplacer(`\n`, "\n", `\e`, "\x1b").Replace(args[2])
	}
	at := node.Contract{Address: client.AppRegistry, ABI: poco.RegistryABI()}
	_, err = client.Send(ctx, wallet, at, "createApp", app.Owner, app.Name, app.Type, []byte(repository+":"+args[1]), app.Checksum, app.MREnclave)
	ts.Check(err)
}

// register registers the app of a plan that is to be approved, as anybody can.
//
//	register PLAN
func register(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: register PLAN")
	}
	ctx := context.Background()
	plan, err := approval.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	c := s.world.V6
	client, err := node.Connect(ctx, poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Fees: c.Fees})
	ts.Check(err)
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(0))))
	ts.Check(err)
	app, at := plan.App, node.Contract{Address: client.AppRegistry, ABI: poco.RegistryABI()}
	_, err = client.Send(ctx, wallet, at, "createApp", common.HexToAddress(app.Owner), app.Name, app.Type, []byte(app.Multiaddr), common.HexToHash(*app.Checksum), []byte(*app.MREnclave))
	ts.Check(err)
}
