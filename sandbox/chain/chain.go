// Package chain runs an Ethereum chain in this process: go-ethereum, in memory,
// with JSON-RPC over HTTP on a loopback port. It seals a block for each
// transaction.
package chain

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// Options say what chain to run.
type Options struct {
	ID    uint64
	Alloc types.GenesisAlloc // balances at the beginning
	// Free makes transactions of gas price 0 valid, as on Bellecour: no base
	// fee and no least tip.
	Free bool
}

// gasLimit of a block lets the largest PoCo deployment transaction in. A free
// chain's is out of reach: a block that is more than half full raises the base
// fee from 0 to 1, from where it never comes down, and transactions of price 0
// would wait for ever.
func (o Options) gasLimit() uint64 {
	if o.Free {
		return 1_000_000_000
	}
	return 30_000_000
}

// tip is the least that a transaction must offer for a unit of gas.
func (o Options) tip() *big.Int {
	if o.Free {
		return new(big.Int)
	}
	return big.NewInt(1)
}

// Chain is a running chain.
type Chain struct {
	ID      uint64
	node    *node.Node
	backend *eth.Ethereum
	sealer  *sealer
	tip     *big.Int // the least that a transaction must offer
}

// Start brings a chain up. go-ethereum's log, which is one per process, is
// silenced: what fails is returned.
func Start(o Options) (*Chain, error) {
	log.SetDefault(log.NewLogger(slog.NewTextHandler(io.Discard, nil)))
	stack, err := node.New(nodeConfig())
	if err != nil {
		return nil, fmt.Errorf("making node: %w", err)
	}
	backend, sealer, err := assemble(stack, o)
	if err != nil {
		return nil, errors.Join(err, stack.Close())
	}
	if err := stack.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting node: %w", err), stack.Close())
	}
	return &Chain{o.ID, stack, backend, sealer, o.tip()}, nil
}

// URL returns the address of the JSON-RPC endpoint.
func (c *Chain) URL() string { return c.node.HTTPEndpoint() }

// Client returns a connection that does not go through the network.
func (c *Chain) Client() *ethclient.Client { return ethclient.NewClient(c.node.Attach()) }

// Close stops the chain; it is gone then.
func (c *Chain) Close() error { return c.node.Close() }

// Hold lets transactions wait, as on a busy chain: blocks are sealed, as fast as
// the machine can, without them.
func (c *Chain) Hold() error { return c.Demand(new(big.Int).Lsh(big.NewInt(1), 255)) }

// Demand lets those transactions wait that offer less than a tip, in wei.
func (c *Chain) Demand(tip *big.Int) error { return c.backend.Miner().SetGasTip(tip) }

// Release ends Hold and Demand.
func (c *Chain) Release() error { return c.backend.Miner().SetGasTip(c.tip) }

// Seal seals a number of blocks, with nothing in them but what waits.
func (c *Chain) Seal(blocks int) error { return c.sealer.seal(blocks) }

// Reorganise takes the last blocks out of the chain and seals more than those in their
// place. Their transactions wait again, or are lost.
func (c *Chain) Reorganise(blocks int, lost bool) error {
	return c.sealer.reorganise(c.backend.BlockChain(), blocks, lost)
}

// Advance seals a block that is so much later than the last one; those that follow are
// later still. It fails while transactions wait that no block takes.
func (c *Chain) Advance(by time.Duration) error { return c.sealer.advance(by) }

func nodeConfig() *node.Config {
	c := node.DefaultConfig
	c.DataDir = "" // in memory
	c.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	c.HTTPHost, c.HTTPPort = "127.0.0.1", 0
	c.HTTPModules = []string{"eth", "net", "web3", "txpool", "debug"}
	c.HTTPVirtualHosts = []string{"*"}
	c.AuthPort, c.IPCPath = 0, ""
	return &c
}

// assemble adds Ethereum, its log filters and the beacon that seals blocks.
func assemble(stack *node.Node, o Options) (*eth.Ethereum, *sealer, error) {
	backend, err := eth.New(stack, ethConfig(o))
	if err != nil {
		return nil, nil, fmt.Errorf("making chain: %w", err)
	}
	if o.Free {
		backend.TxPool().SetGasTip(o.tip())
		if err := backend.Miner().SetGasTip(o.tip()); err != nil {
			return nil, nil, fmt.Errorf("setting least tip: %w", err)
		}
	}
	system := filters.NewFilterSystem(backend.APIBackend, filters.Config{})
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(system)}})
	beacon, err := catalyst.NewSimulatedBeacon(0, common.Address{}, backend)
	if err != nil {
		return nil, nil, fmt.Errorf("making beacon: %w", err)
	}
	sealer := &sealer{pool: backend.TxPool(), beacon: beacon}
	stack.RegisterLifecycle(beacon)
	stack.RegisterLifecycle(sealer)
	return backend, sealer, nil
}

func ethConfig(o Options) *ethconfig.Config {
	forks := *params.AllDevChainProtocolChanges
	forks.ChainID = new(big.Int).SetUint64(o.ID)
	// The forks that are not live yet change the price of gas.
	forks.OsakaTime, forks.BogotaTime = nil, nil
	alloc := core.SystemContractAllocs()
	maps.Copy(alloc, o.Alloc)

	c := ethconfig.Defaults
	c.NetworkId = o.ID
	c.SyncMode = ethconfig.FullSync
	c.LogNoHistory = true
	c.RPCEVMTimeout = time.Minute // as long as anybody waits: a busy machine is no reason to break off a call
	c.Miner.GasCeil = o.gasLimit()
	c.Miner.GasPrice = big.NewInt(1) // zero is not taken here
	c.TxPool.NoLocals = true
	c.TxPool.PriceLimit = 1
	c.Genesis = &core.Genesis{Config: &forks, GasLimit: o.gasLimit(), Alloc: alloc, Difficulty: new(big.Int)}
	if o.Free {
		c.Genesis.BaseFee = new(big.Int)
	}
	return &c
}
