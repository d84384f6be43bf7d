package protocol

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Artifacts is a folder of npm packages (node_modules) with the compiled
// contracts of PoCo 6 (@iexec/poco), PoCo 5 (@iexec/poco-v5, an alias) and the
// RLC token (rlc-faucet-contract).
type Artifacts string

// contract is a compiled contract.
type contract struct {
	name     string
	abi      abi.ABI
	bytecode string // hex, with placeholders where a library's address belongs
	runtime  string // hex, of the contract as it is on a chain
}

// folders of compiled contracts, in the order in which they are searched: what
// is recorded of Arbitrum's deployment comes last, since its RLC has no ABI.
func (a Artifacts) v6() []string {
	return []string{a.join("@iexec/poco/artifacts/contracts"), a.join("rlc-faucet-contract/build/contracts"), a.join("@iexec/poco/deployments/arbitrum")}
}

func (a Artifacts) v5() []string {
	return []string{a.join("@iexec/poco-v5/artifacts/contracts"), a.join("@iexec/poco-v5/build/contracts")}
}

func (a Artifacts) join(path string) string {
	return filepath.Join(string(a), filepath.FromSlash(path))
}

// read finds a contract by its name.
func read(folders []string, name string) (contract, error) {
	for _, dir := range folders {
		path, err := find(dir, name+".json")
		if err != nil {
			return contract{}, fmt.Errorf("looking for contract %s: %w", name, err)
		}
		if path != "" {
			return parse(path, name)
		}
	}
	return contract{}, fmt.Errorf("looking for contract %s: it is in none of %s", name, strings.Join(folders, ", "))
}

func find(dir, file string) (string, error) {
	var found string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == file && !entry.IsDir() {
			found = path
			return fs.SkipAll
		}
		return err
	})
	return found, err
}

func parse(path, name string) (contract, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return contract{}, fmt.Errorf("reading contract: %w", err)
	}
	var artifact struct {
		ABI      json.RawMessage `json:"abi"`
		Bytecode string          `json:"bytecode"`
		Runtime  string          `json:"deployedBytecode"`
	}
	if err := json.Unmarshal(data, &artifact); err != nil {
		return contract{}, fmt.Errorf("parsing contract %s: %w", name, err)
	}
	c := contract{name: name, bytecode: artifact.Bytecode, runtime: artifact.Runtime}
	if name == library { // its own ABI names types that go-ethereum cannot parse; nobody calls it
		return c, nil
	}
	if c.abi, err = abi.JSON(strings.NewReader(string(artifact.ABI))); err != nil {
		return contract{}, fmt.Errorf("parsing ABI of %s: %w", name, err)
	}
	return c, nil
}

// library is the one library that contracts are linked with.
const library = "IexecLibOrders_v5"

// placeholder of the library, as hardhat and as truffle write it.
var placeholder = regexp.MustCompile(`__\$[0-9a-f]{34}\$__|__IexecLibOrders_v5_+`)

// code returns the creation code, linked.
func (c contract) code(lib common.Address) ([]byte, error) {
	linked := placeholder.ReplaceAllString(c.bytecode, strings.ToLower(strings.TrimPrefix(lib.Hex(), "0x")))
	code, err := hexutil.Decode(linked)
	if err != nil {
		return nil, fmt.Errorf("decoding bytecode of %s: %w", c.name, err)
	}
	return code, nil
}

// signatures lists a contract's functions as ERC-1538's updateContract wants
// them: joined by semicolons, receive and fallback by their names.
func (c contract) signatures() string {
	var list []string
	if c.abi.HasReceive() {
		list = append(list, "receive")
	}
	if c.abi.HasFallback() {
		list = append(list, "fallback")
	}
	for _, name := range sortedMethods(c.abi) {
		list = append(list, c.abi.Methods[name].Sig)
	}
	return strings.Join(list, ";") + ";"
}

// selectors lists a contract's functions as ERC-2535's diamondCut wants them,
// without those that an earlier facet has.
func (c contract) selectors(seen map[[4]byte]bool) [][4]byte {
	var list [][4]byte
	add := func(s [4]byte) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	for _, name := range sortedMethods(c.abi) {
		add([4]byte(c.abi.Methods[name].ID))
	}
	if c.abi.HasReceive() {
		add([4]byte{})
	}
	if c.abi.HasFallback() {
		add([4]byte{0xff, 0xff, 0xff, 0xff})
	}
	return list
}

func sortedMethods(a abi.ABI) []string {
	var names []string
	for name := range a.Methods {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
