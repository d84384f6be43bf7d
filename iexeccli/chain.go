package iexeccli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	file := r.optional("chain.json", "chain")
	if _, open := r.Undecided["chain"]; open {
		return
	}
	if name := file.field("default"); name.text() != "" {
		r.defaultChain(name, file.field("chains").field(name.text()))
		return
	}
	deployed := r.optional("deployed.json", "").field("app")
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
	id := names()[name.text()]
	if given := entry.field("id"); given.is != nil {
		var err error
		if id, err = strconv.ParseUint(given.text(), 10, 64); err != nil || id == 0 {
			r.undecided("chain", given, "%q is no id of a chain", fmt.Sprint(given.is))
			return
		}
	}
	var hub common.Address
	if given := entry.field("hub"); given.is != nil && hub.UnmarshalText([]byte(given.text())) != nil {
		r.undecided("chain", given, "%q is no address of a hub", fmt.Sprint(given.is))
		return
	}
	rpc, market := entry.field("host").text(), entry.field("iexecGateway").text()
	i := builtin(id)
	private := hub != (common.Address{}) && (i < 0 || poco.Chains()[i].Hub != hub) // whatever its id is
	if !private && (rpc == "" && market == "" || i < 0) {
		r.builtin(name, id)
		return
	}
	r.Chain = poco.Chain{Name: name.text(), ID: id, Fees: fees(entry, id)}
	if !private {
		r.Chain = poco.Chains()[i]
	}
	if r.Chain.Market = cmp.Or(market, r.Chain.Market); market == "" && rpc != "" {
		r.Chain.Market = "" // a node of one's own may be of a copy of the chain: the user says which market
	}
	r.Chain.RPC = cmp.Or(rpc, r.Chain.RPC)
	r.Chain.Hub = cmp.Or(hub, r.Chain.Hub)
	r.take(entry, "chain %s (%d) with addresses of its own", r.Chain.Name, id)
}

func (r *reader) builtin(v value, id uint64) {
	i := builtin(id)
	if i < 0 {
		r.undecided("chain", v, "mrelease has no such chain built in")
		return
	}
	r.Chain = poco.Chains()[i]
	r.take(v, "chain %s (%d)", r.Chain.Name, id)
}

func builtin(id uint64) int {
	return slices.IndexFunc(poco.Chains(), func(c poco.Chain) bool { return c.ID == id })
}

// fees reads how an entry has transactions paid: useGas is true unless said. Whose id is
// that of a chain without fees has none either: the command line goes by the id.
func fees(entry value, id uint64) poco.Fees {
	if i := builtin(id); i >= 0 && poco.Chains()[i].Fees == poco.FeesLegacy {
		return poco.FeesLegacy
	}
	if gas, ok := entry.field("useGas").is.(bool); ok && !gas {
		return poco.FeesLegacy
	}
	if native, ok := entry.field("native").is.(bool); ok && native {
		return poco.FeesLegacy
	}
	return poco.FeesEIP1559
}

// wallet looks for a keystore file in the project: the one that the command line kept
// until version 4 (encrypted-wallet.json), a wallet.json, and what it writes for
// --keystoredir local. A wallet.json with a key in the clear is not touched.
func (r *reader) wallet() {
	const encrypted, clear = "encrypted-wallet.json", "wallet.json"
	if r.has(encrypted) {
		r.takeWallet(encrypted)
		return
	}
	if file := r.optional(clear, ""); file.field("privateKey").text() != "" {
		r.leave(file, "the key in it is not encrypted: iexec wallet import makes a keystore file of it")
	} else if file.field("version").text() == "3" {
		r.takeWallet(clear)
		return
	}
	r.keystore()
}

// keystore takes the owner's keystore file, or the only one; of several, the folder,
// and the owner is to be named.
func (r *reader) keystore() {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return
	}
	var files []string
	for _, e := range entries {
		_, address, ok := strings.Cut(strings.TrimPrefix(e.Name(), "UTC--"), "--")
		if !ok || !strings.HasPrefix(e.Name(), "UTC--") || !common.IsHexAddress(address) {
			continue
		}
		if common.HexToAddress(address) == r.Owner {
			r.takeWallet(e.Name())
			return
		}
		files = append(files, e.Name())
	}
	switch {
	case len(files) == 1 && r.Owner == (common.Address{}):
		r.takeWallet(files[0])
	case len(files) > 0:
		r.leave(value{from: files[0]}, "it is not the owner's, as far as iexec.json says who that is")
	}
}

func (r *reader) takeWallet(name string) {
	r.Wallet = name
	r.take(value{from: name}, "it is the wallet")
}

func (r *reader) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name))
	return !errors.Is(err, os.ErrNotExist)
}
