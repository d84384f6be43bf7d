package market

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
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

// body reads a request's JSON object. As the real market's parser, it does not look at
// a body of another type than it expects, and takes an empty one for an empty object.
func body(r *http.Request) (any, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return map[string]any{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil { // the real market's parser fails before its error handler knows why
		return nil, internal()
	}
	switch out.(type) {
	case map[string]any, []any:
		return out, nil
	}
	return nil, internal() // strict JSON is an object or an array
}

// fieldsOf reads a body's members, which the real market does after it knows the author.
func fieldsOf(given any) (map[string]any, error) {
	fields, ok := given.(map[string]any)
	if !ok {
		return nil, invalid("this must be a `object` type, but the final value was: `%s`.", shown(given))
	}
	return fields, nil
}

// parse checks an order's form and brings its values into one shape. As the real
// market checks all fields at the same time, the last one that is missing is named, else
// the last one that is wrong.
func (k *kind) parse(fields map[string]any) (*order, error) {
	raw, there := fields["order"]
	given, ok := raw.(map[string]any)
	switch {
	case there && raw == nil:
		return nil, invalid("order is a required field")
	case there && !ok:
		return nil, invalid("order must be a `object` type, but the final value was: `%s`.", shown(raw))
	}
	o := &order{k, map[string]any{}}
	var missing, wrong error
	for _, f := range slices.Concat(k.fields, []apitypes.Type{{Name: "sign", Type: "sign"}}) {
		if given[f.Name] == nil && f.Type != "string" {
			missing = required("order." + f.Name)
			continue
		}
		value, err := parseField("order."+f.Name, f.Type, given[f.Name])
		if err == nil && f.Name == "volume" && value == uint64(0) {
			err = invalid("order.volume must be greater than or equal to 1")
		}
		if err != nil {
			wrong = err
		}
		o.values[f.Name] = value
	}
	return o, cmp.Or(missing, wrong)
}

func required(path string) error { return invalid("%s is a required field", path) }

func parseField(path, typ string, value any) (any, error) {
	switch value.(type) {
	case nil:
		if typ != "string" {
			return nil, required(path)
		}
		return "", nil
	case map[string]any, []any:
		if typ != "uint256" {
			return nil, invalid("%s must be a `string` type, but the final value was: `%s`.", path, shown(value))
		}
		return nil, notANumber(path, value)
	case bool:
		if typ == "uint256" {
			return nil, notANumber(path, value)
		}
	}
	text := fmt.Sprint(value)
	switch typ {
	case "address":
		return parseAddress(path, text)
	case "uint256":
		return parseAmount(path, text, leastOf(path))
	case "bytes32":
		return parseBytes32(path, text)
	case "sign":
		if !signature.MatchString(text) {
			return nil, invalid("%s must be a valid signature", path)
		}
	}
	return text, nil
}

// leastOf is the lowest amount that a field takes.
func leastOf(path string) uint64 {
	if path == "order.volume" {
		return 1
	}
	return 0
}

// shown writes a value as the real market's messages do.
func shown(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

func notANumber(path string, value any) error {
	return invalid("%s must be a `number` type, but the final value was: `NaN` (cast from the value `%s`).", path, shown(value))
}

var (
	bytes32   = regexp.MustCompile(`^0x[0-9a-f]{64}$`)
	signature = regexp.MustCompile(`^0x`) // the real market's expression asks for no more
)

// parseAddress takes an address in any case, and without 0x, and returns it with its
// checksum.
func parseAddress(path, text string) (string, error) {
	if !common.IsHexAddress(text) {
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
	n, ok := number(text)
	switch {
	case !ok:
		return 0, notANumber(path, text)
	case !n.IsInt():
		return 0, invalid("%s must be an integer", path)
	case n.Cmp(new(big.Rat).SetUint64(least)) < 0:
		return 0, invalid("%s must be greater than or equal to %d", path, least)
	case n.Cmp(new(big.Rat).SetUint64(poco.MaxAmount)) > 0:
		return 0, invalid("%s must be less than or equal to %d", path, poco.MaxAmount)
	}
	return n.Num().Uint64(), nil
}

// number reads a number as JavaScript does: digits with a point or an exponent, or 0x
// and hex digits, in spaces.
func number(text string) (*big.Rat, bool) {
	text = strings.TrimSpace(text)
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 64)
		return new(big.Rat).SetUint64(n), err == nil
	}
	if strings.ContainsAny(text, "_xXpPiIn") { // which Go takes
		return nil, false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false
	}
	return new(big.Rat).SetFloat64(f), true
}
