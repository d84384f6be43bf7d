package iexeccli

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// names are what the command line calls the chains that it knows and that still
// run; the ids are those that chain.json gives, or not.
func names() map[string]uint64 {
	return map[string]uint64{"bellecour": 134, "arbitrum-mainnet": 42161, "arbitrum-sepolia-testnet": 421614}
}

// chain finds the project's chain: the default of chain.json, else the only one
// that an app was deployed on.
func (r *reader) chain() {
	file := r.optional("chain.json")
	if name := file.field("default"); name.text() != "" {
		r.defaultChain(name, file.field("chains").field(name.text()))
		return
	}
	deployed := r.optional("deployed.json").field("app")
	byChain, _ := deployed.is.(map[string]any)
	for id := range byChain {
		if n, err := strconv.ParseUint(id, 10, 64); err == nil && len(byChain) == 1 {
			r.builtin(deployed.field(id), n)
		}
	}
}

// defaultChain takes a chain as its entry describes it; what the entry does not
// say is built in.
func (r *reader) defaultChain(name, entry value) {
	id, err := strconv.ParseUint(entry.field("id").text(), 10, 64)
	if err != nil {
		id = names()[name.text()]
	}
	hub, rpc, market := common.HexToAddress(entry.field("hub").text()), entry.field("host").text(), entry.field("iexecGateway").text()
	if rpc == "" && market == "" || hub == (common.Address{}) && builtin(id) < 0 {
		r.builtin(name, id)
		return
	}
	r.Chain = poco.Chain{Name: name.text(), ID: id, Fees: fees(entry)}
	if i := builtin(id); i >= 0 {
		r.Chain = poco.Chains()[i]
	}
	r.Chain.RPC, r.Chain.Market = cmp.Or(rpc, r.Chain.RPC), cmp.Or(market, r.Chain.Market)
	r.Chain.Hub = cmp.Or(hub, r.Chain.Hub)
	r.take(entry, "chain %s (%d) with addresses of its own", r.Chain.Name, id)
}

func (r *reader) builtin(v value, id uint64) {
	i := builtin(id)
	if i < 0 {
		r.leave(v, "mrelease has no such chain built in")
		return
	}
	r.Chain = poco.Chains()[i]
	r.take(v, "chain %s (%d)", r.Chain.Name, id)
}

func builtin(id uint64) int {
	return slices.IndexFunc(poco.Chains(), func(c poco.Chain) bool { return c.ID == id })
}

// fees reads how an entry has transactions paid: useGas is true unless said.
func fees(entry value) poco.Fees {
	if gas, ok := entry.field("useGas").is.(bool); ok && !gas {
		return poco.FeesLegacy
	}
	if native, ok := entry.field("native").is.(bool); ok && native {
		return poco.FeesLegacy
	}
	return poco.FeesEIP1559
}

// wallet looks for the keystore file that the command line kept in the project
// (encrypted-wallet.json, until version 4). Its wallet.json holds a key in the
// clear, which is not touched.
func (r *reader) wallet() {
	const encrypted, clear = "encrypted-wallet.json", "wallet.json"
	if r.has(encrypted) {
		r.Wallet = encrypted
		r.take(value{from: encrypted}, "it is the wallet")
		return
	}
	if file := r.optional(clear); file.field("privateKey").text() != "" {
		r.leave(file, "the key in it is not encrypted: iexec wallet import makes a keystore file of it")
	} else if file.field("version").text() == "3" {
		r.Wallet = clear
		r.take(file, "it is the wallet")
	}
}

func (r *reader) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name))
	return !errors.Is(err, os.ErrNotExist)
}
