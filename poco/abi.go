package poco

import (
	_ "embed" // for the ABI texts
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
)

// The parts of the contracts' interfaces that are called here, as in
// IexecInterfaceToken.sol (hub), AppRegistry.sol and App.sol of PoCo 5 and 6.
var (
	//go:embed abi/hub.json
	hubABI string
	//go:embed abi/registry.json
	registryABI string
	//go:embed abi/app.json
	appABI string
	//go:embed abi/token.json
	tokenABI string
	//go:embed abi/group.json
	groupABI string
	//go:embed abi/ens.json
	ensABI string
)

// HubABI returns what of the hub is called: what it says of itself, of orders, deals,
// tasks, categories and accounts, and what makes, closes, deposits and claims. Its deposit
// is that of a hub whose coin is the chain's; with a token one deposits by the token.
func HubABI() abi.ABI { return mustABI(hubABI) }

// RegistryABI returns the app registry's createApp, predictApp and isRegistered, and
// what an ERC-721 token says of the apps of an owner.
func RegistryABI() abi.ABI { return mustABI(registryABI) }

// AppABI returns an app's owner, registry and the getters of its five fields, and what gives
// it a name in ENS.
func AppABI() abi.ABI { return mustABI(appABI) }

// TokenABI returns the RLC token's approveAndCall, which deposits in the hub, and balanceOf.
func TokenABI() abi.ABI { return mustABI(tokenABI) }

// GroupABI returns what of ERC-734 is called, by which orders are restricted to groups:
// whether a key has a purpose, and what gives it one and takes it away.
func GroupABI() abi.ABI { return mustABI(groupABI) }

// ENSABI returns owner and resolver of ENS's registry, a resolver's addr, name and setAddr
// (EIP-137, EIP-181), and the setName of the registrar of reverse records.
func ENSABI() abi.ABI { return mustABI(ensABI) }

// mustABI panics on a text that is no ABI: the texts are compiled in, and a
// test parses each.
func mustABI(text string) abi.ABI {
	parsed, err := abi.JSON(strings.NewReader(text))
	if err != nil {
		panic("poco: parsing embedded ABI: " + err.Error())
	}
	return parsed
}
