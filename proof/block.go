package proof

import (
	"bytes"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/mrelease/mrelease/bounds"
)

// Error says why something is not proven.
type Error struct {
	Problem   string
	Got, Want string
}

func (e *Error) Error() string { return "the chain's proof " + e.Problem }

// Evidence returns both values.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}}
}

// Block is a block by its header.
type Block struct {
	Hash   common.Hash
	Number uint64
	Time   time.Time // as the chain has it
	root   common.Hash
}

// ParseBlock reads a header in its encoding (RLP), whose hash is that of the block: on
// chains that compute it as Ethereum does. Error: *Error.
func ParseBlock(header []byte) (Block, error) {
	if len(header) > bounds.Header {
		return Block{}, &Error{"has a header that is too large", fmt.Sprintf("%d bytes", len(header)), fmt.Sprintf("at most %d", bounds.Header)}
	}
	var h types.Header
	if err := rlp.DecodeBytes(header, &h); err != nil {
		return Block{}, &Error{"has a header that cannot be read: " + err.Error(), "other bytes", "a block's header in RLP"}
	}
	if h.Number == nil || !h.Number.IsUint64() || h.Time > 1<<40 {
		return Block{}, &Error{"has a header with a number or a time that is none", fmt.Sprint(h.Number, h.Time), "a block of a chain"}
	}
	return Block{crypto.Keccak256Hash(header), h.Number.Uint64(), time.Unix(int64(h.Time), 0).UTC(), h.Root}, nil
}

// String names the block.
func (b Block) String() string {
	return fmt.Sprintf("block %d (%s) of %s", b.Number, b.Hash, b.Time.Format(time.RFC3339))
}

// Nodes are the nodes of a trie from its root down, each in its encoding.
type Nodes []hexutil.Bytes

// Account is what is proven of an account.
type Account struct {
	Address common.Address `json:"address"`
	Proof   Nodes          `json:"proof"` // in the state
	Storage []Slot         `json:"storage"`
}

// Slot is what is proven of a word of a contract's storage.
type Slot struct {
	Key   common.Hash `json:"key"`
	Proof Nodes       `json:"proof"` // in the contract's storage
}

// storage is a contract's, as far as it is proven.
type storage struct {
	of    common.Address
	words map[common.Hash]common.Hash
}

// open proves an account's storage at a block.
func (b Block) open(a Account) (s storage, err error) {
	if len(a.Storage) > bounds.Slots {
		return s, &Error{"has more words of a contract than are read", fmt.Sprint(len(a.Storage)), fmt.Sprintf("at most %d", bounds.Slots)}
	}
	value, err := a.Proof.get(b.root, a.Address[:])
	if err != nil {
		return s, notOf("account "+a.Address.Hex(), b.root, err)
	}
	var state types.StateAccount
	if err := rlp.DecodeBytes(value, &state); err != nil {
		return s, notOf("account "+a.Address.Hex(), b.root, err)
	}
	s = storage{a.Address, map[common.Hash]common.Hash{}}
	for _, slot := range a.Storage {
		if s.words[slot.Key], err = slot.value(state.Root); err != nil {
			return s, notOf("storage of "+a.Address.Hex(), state.Root, err)
		}
	}
	return s, nil
}

func notOf(what string, root common.Hash, err error) error {
	return &Error{"of the " + what + " is none: " + err.Error(), "other nodes", "nodes from the root " + root.Hex()}
}

// value is the word; one that was never written is zero, which is proven, too.
func (s Slot) value(root common.Hash) (word common.Hash, err error) {
	if root == types.EmptyRootHash {
		return word, nil
	}
	value, err := s.Proof.get(root, s.Key[:])
	if err != nil || value == nil {
		return word, err
	}
	content, rest, err := rlp.SplitString(value)
	if err != nil || len(rest) > 0 || len(content) > len(word) {
		return word, fmt.Errorf("the word is malformed")
	}
	return common.BytesToHash(content), nil
}

// get walks from a root to what is stored under a key; nil: nothing is.
func (n Nodes) get(root common.Hash, key []byte) ([]byte, error) {
	if len(n) > bounds.ProofNodes {
		return nil, fmt.Errorf("it has %d nodes, of which at most %d are read", len(n), bounds.ProofNodes)
	}
	known := byHash{}
	for _, node := range n {
		if len(node) > bounds.ProofNode {
			return nil, fmt.Errorf("a node of it has %d bytes, of which at most %d are read", len(node), bounds.ProofNode)
		}
		known[crypto.Keccak256Hash(node)] = node
	}
	return trie.VerifyProof(root, crypto.Keccak256(key), known)
}

// byHash are nodes by what their bytes hash to, so that none can stand in another's place.
type byHash map[common.Hash][]byte

var _ ethdb.KeyValueReader = byHash{}

// Has implements [ethdb.KeyValueReader].
func (n byHash) Has(key []byte) (bool, error) { return n[common.BytesToHash(key)] != nil, nil }

// Get implements [ethdb.KeyValueReader].
func (n byHash) Get(key []byte) ([]byte, error) { return n[common.BytesToHash(key)], nil }

// at is a proven word. One that is not there is an *Error: nothing is taken for zero that
// nobody proved.
func (s storage) at(key common.Hash) (common.Hash, error) {
	word, there := s.words[key]
	if !there {
		return word, &Error{"lacks a word of " + s.of.Hex(), "no proof", "a proof of slot " + key.Hex()}
	}
	return word, nil
}

func (s storage) address(key common.Hash) (common.Address, error) {
	word, err := s.at(key)
	return common.BytesToAddress(word[:]), err
}

// text is a string or bytes as Solidity stores them: up to 31 bytes in the slot itself with
// twice their number, more from the slot's hash on.
func (s storage) text(slot uint64) ([]byte, error) {
	head, err := s.at(word(slot))
	if err != nil {
		return nil, err
	}
	if head[31]&1 == 0 {
		n := int(head[31] / 2)
		if n > 31 || !bytes.Equal(head[n:31], make([]byte, 31-n)) {
			return nil, &Error{"has a text that is malformed", head.Hex(), "as Solidity stores it"}
		}
		return head[:n:n], nil
	}
	length := new(big.Int).Rsh(head.Big(), 1)
	if !length.IsUint64() || length.Uint64() > bounds.ProofText || length.Uint64() < 32 {
		return nil, &Error{"has a text of a length that is not read", length.String(), fmt.Sprintf("at most %d bytes", bounds.ProofText)}
	}
	n := int(length.Uint64())
	text := make([]byte, 0, n+31)
	for _, key := range textSlots(slot, n) {
		part, err := s.at(key)
		if err != nil {
			return nil, err
		}
		text = append(text, part[:]...)
	}
	return text[:n:n], nil
}

// textSlots are where the bytes of a text are that is too long for its slot.
func textSlots(slot uint64, length int) (keys []common.Hash) {
	if length < 32 {
		return nil
	}
	at := word(slot)
	for i := 0; i*32 < length; i++ {
		keys = append(keys, plus(crypto.Keccak256Hash(at[:]), uint64(i)))
	}
	return keys
}

func word(n uint64) common.Hash { return common.BigToHash(new(big.Int).SetUint64(n)) }

func plus(key common.Hash, n uint64) common.Hash {
	return common.BigToHash(new(big.Int).Add(key.Big(), new(big.Int).SetUint64(n)))
}

// mapped is where a mapping keeps a key's value.
func mapped(key, slot common.Hash) common.Hash { return crypto.Keccak256Hash(key[:], slot[:]) }
