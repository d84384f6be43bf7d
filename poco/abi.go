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
)

// HubABI returns the hub's domain, appregistry, viewConsumed, verifySignature and
// manageAppOrder.
func HubABI() abi.ABI { return mustABI(hubABI) }

// RegistryABI returns the app registry's createApp, predictApp and
// isRegistered.
func RegistryABI() abi.ABI { return mustABI(registryABI) }

// AppABI returns an app's owner, registry and the getters of its five fields.
func AppABI() abi.ABI { return mustABI(appABI) }

// mustABI panics on a text that is no ABI: the texts are compiled in, and a
// test parses each.
func mustABI(text string) abi.ABI {
	parsed, err := abi.JSON(strings.NewReader(text))
	if err != nil {
		panic("poco: parsing embedded ABI: " + err.Error())
	}
	return parsed
}
