// Package batch writes calls of the hub, which a contract that owns apps is asked to make, as
// a file of the Transaction Builder, an app in the interface of Safe's wallets.
package batch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// Batch is what a contract is asked to call, in one transaction and in this order.
type Batch struct {
	Chain  poco.Chain
	Caller common.Address // the contract
	Time   time.Time      // what the file gives as its own: of nothing that differs between runs
	Name   string
	Calls  []Call
}

// Call is a call of the hub.
type Call struct {
	What string // in words, of printable ASCII
	Data []byte
}

// Presign has the caller give its word for an order.
func Presign(order poco.AppOrder, what string) (Call, error) {
	method, argument := order.Presigning()
	return pack(what, method, argument)
}

// Close has the caller close an order, for good.
func Close(order poco.AppOrder, what string) (Call, error) {
	method, argument := order.Closing(nil)
	return pack(what, method, argument)
}

func pack(what, method string, argument any) (Call, error) {
	data, err := poco.HubABI().Pack(method, argument)
	if err != nil {
		return Call{}, fmt.Errorf("packing %s: %w", method, err)
	}
	return Call{what, data}, nil
}

// What are the calls in words.
func (b Batch) What() (all []string) {
	for _, c := range b.Calls {
		all = append(all, c.What)
	}
	return all
}

// file is version 1.0 of the format, as the app reads and writes it:
// github.com/safe-global/safe-react-apps, apps/tx-builder/src/typings/models.ts.
type file struct {
	Version      string        `json:"version"`
	ChainID      string        `json:"chainId"`
	CreatedAt    int64         `json:"createdAt"` // milliseconds since 1970
	Meta         meta          `json:"meta"`
	Transactions []transaction `json:"transactions"`
}

type meta struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Safe        string `json:"createdFromSafeAddress"`
	Owner       string `json:"createdFromOwnerAddress"`
	Checksum    string `json:"checksum,omitempty"`
}

type transaction struct {
	To    string        `json:"to"`
	Value string        `json:"value"` // wei
	Data  hexutil.Bytes `json:"data"`
}

// Encode returns the file: the same bytes for the same calls. The app warns of a file whose
// checksum is not that of its content.
func (b Batch) Encode() ([]byte, error) {
	f := file{
		Version: "1.0", ChainID: strconv.FormatUint(b.Chain.ID, 10), CreatedAt: b.Time.UnixMilli(),
		Meta: meta{Name: b.Name, Description: strings.Join(b.What(), "; "), Safe: b.Caller.Hex()},
	}
	for _, c := range b.Calls {
		f.Transactions = append(f.Transactions, transaction{b.Chain.Hub.Hex(), "0", c.Data})
	}
	unchecked, err := encode(f)
	if err != nil {
		return nil, err
	}
	sum, err := checksum(unchecked)
	if err != nil {
		return nil, err
	}
	f.Meta.Checksum = sum.Hex()
	return encode(f)
}

func encode(f file) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("encoding batch: %w", err)
	}
	return out.Bytes(), nil
}

// checksum is the app's: keccak256 over a file's values in the order of their names, without
// the batch's name and the checksum. See apps/tx-builder/src/lib/checksum.ts.
func checksum(data []byte) (common.Hash, error) {
	var f map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&f); err != nil {
		return common.Hash{}, fmt.Errorf("reading batch: %w", err)
	}
	if meta, ok := f["meta"].(map[string]any); ok {
		meta["name"] = nil
		delete(meta, "checksum")
	}
	var text bytes.Buffer
	if err := serialise(&text, f); err != nil {
		return common.Hash{}, err
	}
	return crypto.Keccak256Hash(text.Bytes()), nil
}

// serialise writes an object as its names, as JSON, and its values, each with a comma.
func serialise(out *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case map[string]any:
		names := []string{}
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		out.WriteByte('{')
		if err := scalar(out, names); err != nil {
			return err
		}
		for _, name := range names {
			if err := serialise(out, v[name]); err != nil {
				return err
			}
			out.WriteByte(',')
		}
		out.WriteByte('}')
		return nil
	case []any:
		out.WriteByte('[')
		for i, element := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := serialise(out, element); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	}
	return scalar(out, value)
}

func scalar(out *bytes.Buffer, value any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("encoding batch: %w", err)
	}
	out.Truncate(out.Len() - 1) // the line feed
	return nil
}
