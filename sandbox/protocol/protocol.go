// Package protocol deploys iExec's real PoCo contracts, compiled as they are
// published on npm, to a chain: version 6 with the RLC token, as on Arbitrum,
// and version 5 in its native form, as on Bellecour.
//
// Addresses follow from the deployer's key: with a fresh chain they are always
// the same.
package protocol

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// Deployment is where the contracts are.
type Deployment struct {
	Hub, AppRegistry, DatasetRegistry, WorkerpoolRegistry common.Address
	RLC                                                   common.Address // zero in native form
}

// DeployV6 deploys PoCo 6.1.0: a diamond (ERC-2535) with the facets of Arbitrum.
func DeployV6(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts) (Deployment, error) {
	d := newDeployer(ctx, client, key, a.v6())
	var p Deployment
	p.RLC, _ = d.deploy("RLC")
	cuts, seen := d.firstFacets()
	p.Hub, _ = d.deployDiamond(cuts)
	d.lib, _ = d.deploy(library)
	cut := d.read("DiamondCutFacet").abi
	for _, name := range []string{
		"IexecAccessorsABILegacyFacet", "IexecCategoryManagerFacet", "IexecConfigurationExtraFacet", "IexecConfigurationFacet",
		"IexecERC20Facet", "IexecEscrowTokenFacet", "IexecOrderManagementFacet", "IexecPoco1Facet", "IexecPoco2Facet",
		"IexecPocoAccessorsFacet", "IexecPocoBoostFacet", "IexecPocoBoostAccessorsFacet", "IexecRelayFacet",
	} {
		facet, c := d.deploy(name)
		d.call(p.Hub, cut, "diamondCut", []facetCut{{facet, 0, c.selectors(seen)}}, common.Address{}, []byte{})
	}
	d.registries(&p)
	d.configure(p, "IexecConfigurationFacet", "IexecCategoryManagerFacet")
	return p, d.settle()
}

// facetCut and diamondArgs are the constructor's types of Diamond.sol.
type facetCut struct {
	FacetAddress      common.Address
	Action            uint8 // 0: add
	FunctionSelectors [][4]byte
}

type diamondArgs struct {
	Owner        common.Address
	Init         common.Address
	InitCalldata []byte
}

type diamond struct {
	cuts []facetCut
	args diamondArgs
}

// firstFacets deploys what a diamond is born with.
func (d *deployer) firstFacets() (diamond, map[[4]byte]bool) {
	seen := map[[4]byte]bool{}
	initAddress, c := d.deploy("DiamondInit")
	born := diamond{args: diamondArgs{Owner: d.from(), Init: initAddress}}
	if d.err == nil {
		born.args.InitCalldata, d.err = c.abi.Pack("init")
	}
	for _, name := range []string{"DiamondCutFacet", "DiamondLoupeFacet", "OwnershipFacet"} {
		facet, c := d.deploy(name)
		born.cuts = append(born.cuts, facetCut{facet, 0, c.selectors(seen)})
	}
	return born, seen
}

func (d *deployer) deployDiamond(born diamond) (common.Address, contract) {
	return d.deploy("Diamond", born.cuts, born.args)
}

// DeployV5 deploys PoCo 5.5.0 in native form: a proxy (ERC-1538) with the
// delegates of Bellecour. Its transactions have gas price 0.
func DeployV5(ctx context.Context, client *ethclient.Client, key *ecdsa.PrivateKey, a Artifacts) (Deployment, error) {
	d := newDeployer(ctx, client, key, a.v5())
	d.free = true
	var p Deployment
	update, updateContract := d.deploy("ERC1538UpdateDelegate")
	p.Hub, _ = d.deploy("ERC1538Proxy", update)
	d.lib, _ = d.deploy(library)
	for _, name := range []string{
		"ERC1538QueryDelegate", "IexecAccessorsDelegate", "IexecAccessorsABILegacyDelegate", "IexecCategoryManagerDelegate",
		"IexecERC20Delegate", "IexecEscrowNativeDelegate", "IexecMaintenanceDelegate", "IexecOrderManagementDelegate",
		"IexecPoco1Delegate", "IexecPoco2Delegate", "IexecRelayDelegate", "ENSIntegrationDelegate", "IexecMaintenanceExtraDelegate",
		"IexecPocoAccessorsDelegate", "IexecPocoBoostDelegate", "IexecPocoBoostAccessorsDelegate",
	} {
		delegate, c := d.deploy(name)
		d.call(p.Hub, updateContract.abi, "updateContract", delegate, c.signatures(), "Linking "+name)
	}
	d.registries(&p)
	d.configure(p, "IexecMaintenanceDelegate", "IexecCategoryManagerDelegate")
	return p, d.settle()
}

func (d *deployer) registries(p *Deployment) {
	for _, r := range []struct {
		name, path string
		at         *common.Address
	}{
		{"AppRegistry", "app", &p.AppRegistry}, {"DatasetRegistry", "dataset", &p.DatasetRegistry}, {"WorkerpoolRegistry", "workerpool", &p.WorkerpoolRegistry},
	} {
		var c contract
		*r.at, c = d.deploy(r.name)
		d.call(*r.at, c.abi, "initialize", common.Address{})
		d.call(*r.at, c.abi, "setBaseURI", fmt.Sprintf("https://nfts-metadata.iex.ec/%s/%s/", r.path, d.chainID))
	}
}

// configure ties the parts together, which sets the EIP-712 domain, and makes
// the five categories of iExec's chains.
func (d *deployer) configure(p Deployment, configuration, categories string) {
	d.call(p.Hub, d.abi(configuration), "configure", p.RLC, "Staked RLC", "SRLC", uint8(9), p.AppRegistry, p.DatasetRegistry, p.WorkerpoolRegistry, common.Address{})
	manager := d.abi(categories)
	for _, c := range []struct {
		name    string
		seconds int64
	}{{"XS", 300}, {"S", 1200}, {"M", 3600}, {"L", 10800}, {"XL", 36000}} {
		d.call(p.Hub, manager, "createCategory", c.name, `""`, big.NewInt(c.seconds))
	}
}

func (d *deployer) abi(name string) abi.ABI { return d.read(name).abi }
