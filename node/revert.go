package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
)

// RevertedError says that a contract refused a transaction: before it was sent, when it was
// only tried, or in a block.
type RevertedError struct {
	Method   string
	Contract common.Address
	Reason   string      // the contract's own; says so when it gave none
	Tx       common.Hash // zero: it was not sent
	Block    uint64      // that the transaction is in
	Err      error       // the node's answer; nil for one in a block
}

func (e *RevertedError) Error() string {
	if e.Tx == (common.Hash{}) {
		return fmt.Sprintf("the contract refuses %s: %s", e.Method, e.Reason)
	}
	return fmt.Sprintf("%s was reverted in block %d: %s", e.Method, e.Block, e.Reason)
}

// Unwrap returns the node's answer.
func (e *RevertedError) Unwrap() error { return e.Err }

// Evidence returns the contract, its reason, and the transaction if there is one.
func (e *RevertedError) Evidence() [][2]string {
	facts := [][2]string{{"call", e.Method}, {"reason", e.Reason}, {"where", e.Contract.Hex()}}
	if e.Tx != (common.Hash{}) {
		facts = append(facts, [2]string{"transaction", e.Tx.Hex()}, [2]string{"block", fmt.Sprint(e.Block)})
	}
	return facts
}

// revertOf returns the data that a contract reverted with, if that is what the node's
// error says.
func revertOf(err error) (data []byte, reverted bool) {
	var with rpc.DataError
	if errors.As(err, &with) {
		text, _ := with.ErrorData().(string)
		// Nethermind, which runs Bellecour, writes a word before it.
		data, notHex := hex.DecodeString(strings.TrimPrefix(strings.TrimPrefix(text, "Reverted "), "0x"))
		if notHex == nil && (len(data) > 0 || strings.Contains(err.Error(), "revert")) {
			return data, true
		}
	}
	return nil, strings.Contains(err.Error(), "execution reverted")
}

// reason reads what a contract reverted with: Error(string) and Panic(uint256), which
// Solidity's require and assert throw, or an error of the contract's own.
func reason(contract abi.ABI, data []byte) string {
	if len(data) == 0 {
		return "without a reason"
	}
	if text, err := abi.UnpackRevert(data); err == nil {
		if text == "" {
			return "with an empty reason"
		}
		return text
	}
	if len(data) >= 4 {
		if own, err := contract.ErrorByID([4]byte(data)); err == nil {
			if values, err := own.Inputs.Unpack(data[4:]); err == nil {
				return own.Name + arguments(values)
			}
		}
	}
	const most = 68 // bytes shown: a selector and two words
	if len(data) > most {
		return fmt.Sprintf("0x%x… (%d bytes)", data[:most], len(data))
	}
	return fmt.Sprintf("0x%x", data)
}

func arguments(values []any) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprint(v))
	}
	return "(" + strings.Join(words, ", ") + ")"
}
