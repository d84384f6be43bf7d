package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// refusal is a node's answer for a call that reverted.
type refusal struct {
	words string
	data  any
}

func (r refusal) Error() string  { return r.words }
func (r refusal) ErrorData() any { return r.data }

// What contracts revert with, as the nodes of several makers answer it.
func TestReason(t *testing.T) {
	own, err := abi.JSON(strings.NewReader(`[{"type":"error","name":"NotOwner","inputs":[{"name":"who","type":"address"},{"name":"id","type":"uint256"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	values, err := own.Errors["NotOwner"].Inputs.Pack(common.HexToAddress("0x01"), common.Big2)
	if err != nil {
		t.Fatal(err)
	}
	word := strings.Repeat("0", 63)
	text := "0x08c379a0" + word[:62] + "20" + word[:62] + "04" + "6e6f7065" + strings.Repeat("0", 56) // Error("nope")
	for _, c := range []struct {
		name string
		err  error
		want string // empty: it is no revert
	}{
		{"require", refusal{"execution reverted: nope", text}, "nope"},
		{"require, at Nethermind", refusal{"VM execution error.", "Reverted " + text}, "nope"},
		{"assert", refusal{"execution reverted", "0x4e487b71" + word + "1"}, "assert(false)"},
		{"overflow", refusal{"execution reverted", "0x4e487b71" + word[:62] + "11"}, "arithmetic underflow or overflow"},
		{"an error of its own", refusal{"execution reverted", hexutil.Encode(append(own.Errors["NotOwner"].ID.Bytes()[:4:4], values...))}, "NotOwner(0x0000000000000000000000000000000000000001, 2)"},
		{"an unknown one", refusal{"execution reverted", "0x12345678"}, "0x12345678"},
		{"a long one", refusal{"execution reverted", "0x" + strings.Repeat("ab", 5000)}, "0x" + strings.Repeat("ab", 68) + "… (5000 bytes)"},
		{"nothing", refusal{"execution reverted", "0x"}, "without a reason"},
		{"no data", errors.New("execution reverted"), "without a reason"},
		{"another error", refusal{"missing trie node", nil}, ""},
		{"a node that is down", errors.New("503 Service Unavailable"), ""},
	} {
		data, reverted := revertOf(fmt.Errorf("calling: %w", c.err))
		if got := reason(own, data); reverted != (c.want != "") || reverted && got != c.want {
			t.Errorf("%s: %t, %q, want %q", c.name, reverted, got, c.want)
		}
	}
}

// A contract that is not what it was taken for is told from a node that fails, in the words
// of several nodes and of the library that reads their answers.
func TestWhoseFault(t *testing.T) {
	boolean, err := abi.NewType("bool", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(data []byte) error {
		_, err := abi.Arguments{{Type: boolean}}.Unpack(data)
		return err
	}
	for name, c := range map[string]struct {
		err              error
		reverted, unlike bool
	}{
		"refused":                    {refusal{"execution reverted", "0x12345678"}, true, true},
		"refused, at Nethermind":     {refusal{"VM execution error.", "Reverted 0x12345678"}, true, true},
		"refused, at Ganache":        {errors.New("VM Exception while processing transaction: revert"), true, true},
		"no contract":                {bind.ErrNoCode, true, true},
		"answers nothing":            {answer(nil), false, true},
		"answers what is no bool":    {answer(bytes.Repeat([]byte{7}, 32)), false, true},
		"answers less than a word":   {answer([]byte{1}), false, true},
		"a node without its state":   {refusal{"missing trie node", nil}, false, false},
		"a node that is not there":   {errors.New("503 Service Unavailable"), false, false},
		"a node that takes too long": {context.DeadlineExceeded, false, false},
	} {
		e := &RPCError{Err: c.err}
		if e.IsRevert() != c.reverted || e.LacksMethod() != c.unlike {
			t.Errorf("%s: %v: reverted %t, another contract %t", name, c.err, e.IsRevert(), e.LacksMethod())
		}
	}
}

// A replacement offers a tenth more at least, and never more than the ceiling.
func TestRaised(t *testing.T) {
	of := func(tip, limit int64) offer { return offer{big.NewInt(tip), big.NewInt(limit)} }
	for _, c := range []struct {
		last, now offer
		ceiling   int64
		want      string // empty: it is not replaced
	}{
		{of(100, 1000), of(100, 1000), 10_000, "125 1250"},
		{of(100, 1000), of(300, 4000), 10_000, "300 4000"},
		{of(0, 7), of(0, 7), 100, "1 9"},
		{of(1, 1), of(1, 1), 100, "2 2"},
		{of(100, 1000), of(100, 1000), 1100, "125 1100"},
		{of(100, 1000), of(100, 1000), 1099, ""},
		{of(1000, 1000), of(1000, 1000), 1200, "1200 1200"},
		{of(0, 0), of(0, 0), 0, ""}, // a chain without fees
	} {
		up, can := c.last.raised(c.now, big.NewInt(c.ceiling))
		if got := fmt.Sprint(up.tip, up.cap); can != (c.want != "") || can && got != c.want {
			t.Errorf("%v, now %v, at most %d: %s, %t; want %q", c.last, c.now, c.ceiling, got, can, c.want)
		}
	}
}
