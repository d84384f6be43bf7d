package market_test

import (
	"math/big"
	"reflect"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// pack encodes a call; an argument that is an order becomes its tuple.
func (b *bench) pack(signature string, args ...any) []byte {
	b.Helper()
	method, list, _ := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	var types abi.Arguments
	var values []any
	var names []string
	for i, name := range strings.Split(list, ",") {
		typ, value := b.argument(name, args[i])
		types, values, names = append(types, abi.Argument{Type: typ}), append(values, value), append(names, typ.String())
	}
	packed, err := types.Pack(values...)
	if err != nil {
		b.Fatal(err)
	}
	return append(crypto.Keccak256([]byte(method + "(" + strings.Join(names, ",") + ")"))[:4], packed...)
}

// argument returns an argument's type and value. The names order and operation
// stand for tuples: an order with its signature, and an order that is to be
// closed.
func (b *bench) argument(name string, value any) (abi.Type, any) {
	b.Helper()
	var components []abi.ArgumentMarshaling
	var fields []any
	switch name {
	case "order":
		components, fields = tuple(value.(order))
	case "operation":
		inner, _ := tuple(value.(order))
		_, innerValue := b.argument("order", value)
		components = []abi.ArgumentMarshaling{{Name: "order", Type: "tuple", Components: inner}, {Name: "operation", Type: "uint8"}, {Name: "sign", Type: "bytes"}}
		fields = []any{innerValue, uint8(1), []byte{}}
	default:
		typ, err := abi.NewType(name, "", nil)
		if err != nil {
			b.Fatal(err)
		}
		return typ, value
	}
	typ, err := abi.NewType("tuple", "", components)
	if err != nil {
		b.Fatal(err)
	}
	v := reflect.New(typ.GetType()).Elem()
	for i, f := range fields {
		v.Field(i).Set(reflect.ValueOf(f).Convert(v.Field(i).Type()))
	}
	return typ, v.Interface()
}

func tuple(o order) (components []abi.ArgumentMarshaling, fields []any) {
	for _, f := range o.fields {
		components = append(components, abi.ArgumentMarshaling{Name: f.Name, Type: f.Type})
		text := o.values[f.Name].(string)
		switch f.Type {
		case "address":
			fields = append(fields, common.HexToAddress(text))
		case "uint256":
			n, _ := new(big.Int).SetString(text, 10)
			fields = append(fields, n)
		case "bytes32":
			fields = append(fields, [32]byte(common.HexToHash(text)))
		default:
			fields = append(fields, text)
		}
	}
	sign, _ := o.values["sign"].(string)
	return append(components, abi.ArgumentMarshaling{Name: "sign", Type: "bytes"}), append(fields, common.FromHex(sign))
}

// close closes an app order on chain, as its owner.
func (b *bench) close(o order) {
	b.Helper()
	b.transact(1, b.chain.Hub, b.pack("manageAppOrder(operation)", o))
}

// ask makes a call that answers an address.
func (b *bench) ask(to common.Address, data []byte) common.Address {
	b.Helper()
	var out hexutil.Bytes
	err := b.chain.Client.Client().CallContext(b.Context(), &out, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, "latest")
	if err != nil {
		b.Fatal(err)
	}
	return common.BytesToAddress(out)
}
