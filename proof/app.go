package proof

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// Chain is the proof of an app and its order: mrelease.proof/v1 in JSON.
type Chain struct {
	Header   hexutil.Bytes `json:"header"` // of the block, in RLP
	Hub      Account       `json:"hub"`
	Registry Account       `json:"registry"`
	App      Account       `json:"app"`
}

// Claim is what is to be proven.
type Claim struct {
	Domain    poco.Domain
	App       common.Address
	Order     common.Hash // of the app; zero: none
	Presigned bool        // also who presigned the order
}

// Facts are what a proof proves at its block.
type Facts struct {
	Block    Block
	Registry common.Address
	App      poco.App
	Sold     *big.Int // runs of the order; nil without one
	// Presigner gave its word for the order by a transaction, as owner of the app at that time;
	// the zero address: nobody did. nil: the proof lacks it, or it was not asked for.
	Presigner *common.Address
}

// What the hub stores, counted from where its storage begins.
const (
	hubRegistry  = 0
	hubSeparator = 11
	hubPresigned = 12
	hubConsumed  = 13
)

// hubs are where a hub's storage begins: PoCo 6 has a place of its own (ERC-7201,
// iexec.poco.storage.PocoStorage), PoCo 5 has it behind that of its proxy.
func hubs() []common.Hash {
	return []common.Hash{common.HexToHash("0x5862653c6982c162832160cf30593645e8487b257e44d77cdd6b51eee2651b00"), word(poco5)}
}

const poco5 = 5

// What the app registry stores: OpenZeppelin's EnumerableMap of owners by token, a list of
// pairs and the place of each in it, counted from 1.
const (
	registryEntries = 2
	registryPlaces  = 3
)

// What an app stores.
const (
	appRegistry = iota
	appName
	appType
	appMultiaddr
	appChecksum
	appMREnclave
)

// HubSlots are the words of a hub that a claim needs, of each layout.
func (c Claim) HubSlots() (keys []common.Hash) {
	for _, begin := range hubs() {
		keys = append(keys, plus(begin, hubRegistry), plus(begin, hubSeparator))
		if c.Order != (common.Hash{}) {
			keys = append(keys, mapped(c.Order, plus(begin, hubConsumed)))
		}
		if c.Presigned {
			keys = append(keys, mapped(c.Order, plus(begin, hubPresigned)))
		}
	}
	return keys
}

// PlaceSlot is the word of the registry that says at which place the app's owner stands.
func (c Claim) PlaceSlot() common.Hash {
	return mapped(common.BytesToHash(c.App[:]), word(registryPlaces))
}

// RegistrySlots are the words of the registry that a claim needs, with the app at a place.
func (c Claim) RegistrySlots(place common.Hash) []common.Hash {
	key, owner := entry(place)
	return []common.Hash{c.PlaceSlot(), key, owner}
}

// entry is where a pair is kept.
func entry(place common.Hash) (key, owner common.Hash) {
	begin := word(registryEntries)
	index := new(big.Int).Sub(place.Big(), big.NewInt(1))
	at := new(big.Int).Add(crypto.Keccak256Hash(begin[:]).Big(), index.Lsh(index, 1))
	key = common.BigToHash(at.And(at, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))))
	return key, plus(key, 1)
}

// AppSlots are the words of an app with such fields.
func AppSlots(app poco.App) (keys []common.Hash) {
	for slot := uint64(appRegistry); slot <= appMREnclave; slot++ {
		keys = append(keys, word(slot))
	}
	for _, text := range []struct {
		slot   uint64
		length int
	}{{appName, len(app.Name)}, {appType, len(app.Type)}, {appMultiaddr, len(app.Multiaddr)}, {appMREnclave, len(app.MREnclave)}} {
		keys = append(keys, textSlots(text.slot, text.length)...)
	}
	return keys
}

// Check proves a claim. What the proof is of is compared with the claim, in which the hub is
// one that whoever checks knows; of which block it is, the facts say: that its hash is one
// of the chain is for whoever checks to know. Error: *Error.
func (p Chain) Check(c Claim) (f Facts, err error) {
	if f.Block, err = ParseBlock(p.Header); err != nil {
		return f, err
	}
	for _, of := range []struct {
		what      string
		got, want common.Address
	}{{"hub", p.Hub.Address, c.Domain.Hub}, {"app", p.App.Address, c.App}} {
		if of.got != of.want {
			return f, &Error{"is of another " + of.what, of.got.Hex(), of.want.Hex()}
		}
	}
	hub, err := f.Block.open(p.Hub)
	if err != nil {
		return f, err
	}
	if err := hub.hub(c, &f); err != nil {
		return f, err
	}
	if p.Registry.Address != f.Registry {
		return f, &Error{"is of another app registry than the hub's", p.Registry.Address.Hex(), f.Registry.Hex()}
	}
	registry, err := f.Block.open(p.Registry)
	if err != nil {
		return f, err
	}
	owner, err := registry.owner(c)
	if err != nil {
		return f, err
	}
	app, err := f.Block.open(p.App)
	if err != nil {
		return f, err
	}
	f.App, err = app.app(f.Registry)
	f.App.Owner = owner
	return f, err
}

// hub reads what a hub says, whichever of the layouts is its own: the one in which its
// domain is where it belongs.
func (s storage) hub(c Claim, f *Facts) (err error) {
	want, got := c.Domain.Separator(), common.Hash{}
	for _, begin := range hubs() {
		separator, err := s.at(plus(begin, hubSeparator))
		if err != nil {
			return err
		}
		if separator != want {
			if separator != (common.Hash{}) {
				got = separator
			}
			continue
		}
		if f.Registry, err = s.address(plus(begin, hubRegistry)); err != nil || c.Order == (common.Hash{}) {
			return err
		}
		if c.Presigned {
			f.Presigner = s.presigner(mapped(c.Order, plus(begin, hubPresigned)))
		}
		consumed, err := s.at(mapped(c.Order, plus(begin, hubConsumed)))
		f.Sold = consumed.Big()
		return err
	}
	return &Error{fmt.Sprintf("is not of the hub of chain %d: its domain is another", c.Domain.ChainID), got.Hex(), want.Hex()}
}

// presigner is who presigned an order; nil where the proof has no such word: that is no error,
// for proofs of earlier versions have none.
func (s storage) presigner(key common.Hash) *common.Address {
	word, there := s.words[key]
	if !there {
		return nil
	}
	who := common.BytesToAddress(word[:])
	return &who
}

// owner returns who owns the app: who has the token that is its address.
func (s storage) owner(c Claim) (owner common.Address, err error) {
	place, err := s.at(c.PlaceSlot())
	if err != nil {
		return owner, err
	}
	if place == (common.Hash{}) {
		return owner, &Error{"shows that the app registry does not know the app", "no owner", "an owner of " + c.App.Hex()}
	}
	key, at := entry(place)
	token, err := s.at(key)
	if err != nil {
		return owner, err
	}
	if want := common.BytesToHash(c.App[:]); token != want {
		return owner, &Error{"has another app at its place in the registry", token.Hex(), want.Hex()}
	}
	return s.address(at)
}

// app returns the fields of an app of a registry, without its owner.
func (s storage) app(registry common.Address) (app poco.App, err error) {
	of, err := s.address(word(appRegistry))
	if err != nil {
		return app, err
	}
	if of != registry {
		return app, &Error{"has an app of another registry", of.Hex(), registry.Hex()}
	}
	var name, kind []byte
	for _, text := range []struct {
		slot uint64
		into *[]byte
	}{{appName, &name}, {appType, &kind}, {appMultiaddr, &app.Multiaddr}, {appMREnclave, &app.MREnclave}} {
		if *text.into, err = s.text(text.slot); err != nil {
			return app, err
		}
	}
	app.Name, app.Type = string(name), string(kind)
	app.Checksum, err = s.at(word(appChecksum))
	return app, err
}
