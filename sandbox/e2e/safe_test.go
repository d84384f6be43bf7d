package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/protocol"
)

// asSafe deploys the script's Safe (safe, safe-v5), or has it execute a file, with the wallet
// as the sender.
func (s *script) asSafe(ts *testscript.TestScript, act, argument string) (err error) {
	ctx, chain := context.Background(), s.world.V6
	if act != "execute" {
		if act == "safe-v5" {
			chain = s.world.V5
		}
		first, second := walletOf(s.name+" first"), walletOf(s.name+" second")
		s.safe, err = protocol.DeploySafe(ctx, chain.Client, s.key, "../node_modules", first, second)
		ts.Setenv(argument, s.safe.Address.Hex())
		return err
	}
	var file struct {
		Version string `json:"version"`
		ChainID string `json:"chainId"`
		Meta    struct {
			Safe common.Address `json:"createdFromSafeAddress"`
		} `json:"meta"`
		Transactions []struct {
			To    common.Address `json:"to"`
			Value string         `json:"value"`
			Data  hexutil.Bytes  `json:"data"`
		} `json:"transactions"`
	}
	if err := json.Unmarshal([]byte(ts.ReadFile(argument)), &file); err != nil {
		return err
	}
	if file.ChainID == strconv.FormatUint(s.world.V5.ID, 10) {
		chain = s.world.V5
	}
	if file.Version != "1.0" || file.ChainID != strconv.FormatUint(chain.ID, 10) || file.Meta.Safe != s.safe.Address {
		return fmt.Errorf("%s is of version %s, for %s on chain %s", argument, file.Version, file.Meta.Safe, file.ChainID)
	}
	var calls []protocol.Call
	for _, t := range file.Transactions {
		if t.Value != "0" {
			return fmt.Errorf("%s pays %s wei", argument, t.Value)
		}
		calls = append(calls, protocol.Call{To: t.To, Data: t.Data})
	}
	return s.safe.Execute(ctx, chain.Client, s.key, calls...)
}
