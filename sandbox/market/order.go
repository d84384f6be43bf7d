package market

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/poco"
)

// order is a signed order of any kind. Its values are uint64 for amounts, and
// strings for the rest: addresses with their checksum, bytes32 in lower case.
type order struct {
	kind   *kind
	values map[string]any
}

func (o *order) text(field string) string   { s, _ := o.values[field].(string); return s }
func (o *order) amount(field string) uint64 { n, _ := o.values[field].(uint64); return n }

// MarshalJSON implements [json.Marshaler].
func (o *order) MarshalJSON() ([]byte, error) {
	var out object
	for _, f := range o.kind.fields {
		out = append(out, member{f.Name, o.values[f.Name]})
	}
	return encode(append(out, member{"sign", o.text("sign")}))
}

// hash returns the order's EIP-712 digest in the domain of a chain's hub.
func (o *order) hash(h *hub) (string, error) {
	message := apitypes.TypedDataMessage{}
	for _, f := range o.kind.fields {
		message[f.Name] = o.values[f.Name]
		if n, ok := message[f.Name].(uint64); ok {
			message[f.Name] = new(big.Int).SetUint64(n)
		}
	}
	hash, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"}},
			o.kind.typ:     o.kind.fields,
		},
		PrimaryType: o.kind.typ,
		Domain:      apitypes.TypedDataDomain{Name: poco.DomainName, Version: poco.DomainVersion, ChainId: math.NewHexOrDecimal256(int64(h.id)), VerifyingContract: h.address.Hex()},
		Message:     message,
	})
	if err != nil {
		return "", fmt.Errorf("hashing order: %w", err)
	}
	return hexutil.Encode(hash), nil
}

// body reads a request's JSON object.
func body(r *http.Request) (map[string]any, error) {
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil { // the real market's parser fails before its error handler knows why
		return nil, &refusal{http.StatusInternalServerError, "Internal error"}
	}
	return out, nil
}

// parse checks an order's form, field by field, and brings its values into one
// shape. Without an order the first field is the one that is missing.
func (k *kind) parse(raw any) (*order, error) {
	given, _ := raw.(map[string]any)
	o := &order{k, map[string]any{}}
	for _, f := range slices.Concat(k.fields, []apitypes.Type{{Name: "sign", Type: "sign"}}) {
		value, err := parseField("order."+f.Name, f.Type, given[f.Name])
		if err != nil {
			return nil, err
		}
		o.values[f.Name] = value
	}
	if o.amount("volume") == 0 {
		return nil, invalid("order.volume must be greater than or equal to 1")
	}
	return o, nil
}

func parseField(path, typ string, value any) (any, error) {
	text := fmt.Sprint(value)
	switch {
	case value == nil || text == "" && typ != "string":
		return nil, invalid("%s is a required field", path)
	case typ == "address":
		return parseAddress(path, text)
	case typ == "uint256":
		return parseAmount(path, text, 0)
	case typ == "bytes32":
		return parseBytes32(path, text)
	case typ == "sign" && !signature.MatchString(text):
		return nil, invalid("%s must be a valid signature", path)
	}
	return text, nil
}

var (
	bytes32   = regexp.MustCompile(`^0x[0-9a-f]{64}$`)
	signature = regexp.MustCompile(`^0x`) // the real market's expression asks for no more
)

// parseAddress takes an address in any case and returns it with its checksum.
func parseAddress(path, text string) (string, error) {
	if text == "" {
		return "", invalid("%s is a required field", path)
	}
	if !strings.HasPrefix(text, "0x") || !common.IsHexAddress(text) {
		return "", invalid("%s is not a valid ethereum address", path)
	}
	return common.HexToAddress(text).Hex(), nil
}

func parseBytes32(path, text string) (string, error) {
	text = strings.ToLower(text)
	if !bytes32.MatchString(text) {
		return "", invalid("%s must be a bytes32 hexstring", path)
	}
	return text, nil
}

// parseAmount takes what JavaScript takes for a whole number that it can hold.
func parseAmount(path, text string, least uint64) (uint64, error) {
	n, ok := new(big.Rat).SetString(text)
	switch {
	case !ok:
		return 0, invalid("%s must be a `number` type, but the final value was: `NaN` (cast from the value `%q`).", path, text)
	case !n.IsInt():
		return 0, invalid("%s must be an integer", path)
	case n.Cmp(new(big.Rat).SetUint64(least)) < 0:
		return 0, invalid("%s must be greater than or equal to %d", path, least)
	case n.Cmp(new(big.Rat).SetUint64(poco.MaxAmount)) > 0:
		return 0, invalid("%s must be less than or equal to %d", path, poco.MaxAmount)
	}
	return n.Num().Uint64(), nil
}
