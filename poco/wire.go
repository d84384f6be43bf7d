package poco

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math/big"
	"reflect"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
)

// encode writes an order as iExec's SDK does: its members in their order, addresses with
// their checksum, amounts as decimal strings.
func encode(order any) ([]byte, error) {
	var text bytes.Buffer
	for name, field := range fields(reflect.ValueOf(order)) {
		value, err := json.Marshal(written(field.Interface()))
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
		fmt.Fprintf(&text, ",%q:%s", name, value)
	}
	return append(append([]byte{'{'}, text.Bytes()[1:]...), '}'), nil
}

// fields are those of a struct of the hub's, in their order, by their names there.
func fields(order reflect.Value) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		for i := range order.NumField() {
			if !yield(order.Type().Field(i).Tag.Get("abi"), order.Field(i)) {
				return
			}
		}
	}
}

func written(value any) any {
	switch v := value.(type) {
	case common.Address:
		return v.Hex()
	case *big.Int:
		return v.String()
	case []byte:
		return hexutil.Bytes(v)
	}
	return value
}

// decode reads an order as iExec's SDK or market wrote it. Amounts are decimal strings in
// the SDK's orders and numbers in the market's answers. What is missing is an error, but
// for addresses, which are zero then, and the signature.
func decode[T any](kind string, data []byte) (order T, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return order, fmt.Errorf("decoding %s: %w", kind, err)
	}
	var missing []string
	for name, field := range fields(reflect.ValueOf(&order).Elem()) {
		value, there := given[name]
		if there = there && string(value) != "null"; there {
			err = read(field.Addr().Interface(), value)
		}
		if err != nil {
			return order, fmt.Errorf("decoding %s of %s: %w", name, kind, err)
		}
		if !there && !isOptional(field.Interface()) {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return order, fmt.Errorf("decoding %s: %s is missing", kind, strings.Join(missing, ", "))
	}
	return order, nil
}

func read(into any, text []byte) error {
	switch v := into.(type) {
	case **big.Int:
		var n math.HexOrDecimal256
		err := json.Unmarshal(text, &n)
		*v = (*big.Int)(&n)
		if err == nil && (*v).Sign() < 0 { // it would have the hash of the positive one
			err = fmt.Errorf("%s is negative", *v)
		}
		return err
	case *[]byte:
		return json.Unmarshal(text, (*hexutil.Bytes)(v))
	}
	return json.Unmarshal(text, into)
}

func isOptional(value any) bool {
	switch value.(type) {
	case common.Address, []byte:
		return true
	}
	return false
}
