package poco

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Fees says how transactions are paid on a chain.
type Fees string

const (
	// FeesLegacy sends transactions of type 0 at gas price 0, as Bellecour
	// wants them: it has no EIP-1559 and charges nothing.
	FeesLegacy Fees = "legacy"
	// FeesEIP1559 sends dynamic-fee transactions at the node's suggestion.
	FeesEIP1559 Fees = "eip1559"
)

// FeeModes returns the values that Fees can have.
func FeeModes() []Fees { return []Fees{FeesLegacy, FeesEIP1559} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Fees) UnmarshalText(text []byte) error {
	v := Fees(text)
	if !slices.Contains(FeeModes(), v) {
		return fmt.Errorf("unknown fee mode %q, want %s or %s", text, FeesLegacy, FeesEIP1559)
	}
	*f = v
	return nil
}

// Chain is one deployment of the protocol and the services around it.
type Chain struct {
	Name        string
	ID          uint64
	Hub         common.Address
	AppRegistry common.Address // zero: what the hub's appregistry() says
	RPC         string         // URL of a JSON-RPC endpoint
	Spare       []string       // URLs of further ones, which must agree with the first
	Market      string         // URL of the market's API
	SMS         string         // URL of the secret service
	Gateway     string         // URL of the IPFS gateway that results are downloaded from
	ENS         common.Address // registry of names; zero: the chain has none
	Fees        Fees
	// MaxFeePerGas is what a transaction offers for a unit of gas at most, in wei; 0: ten
	// times what it offers at first.
	MaxFeePerGas uint64
	// Confirmations is how many blocks, its own among them, make a transaction count; 0
	// is 1.
	Confirmations uint64
	Development   bool // asked for by the profile; see IsDevelopment
}

// Domain returns the EIP-712 domain of the chain's hub.
func (c Chain) Domain() Domain { return Domain{ChainID: c.ID, Hub: c.Hub} }

// IsDevelopment reports whether values of a stand-in toolchain may be written
// to the chain: the profile says so and the hub is none of iExec's own,
// whatever the profile says.
func (c Chain) IsDevelopment() bool {
	return c.Development && !slices.ContainsFunc(Chains(), func(p Chain) bool { return p.Hub == c.Hub })
}

// Chains returns the built-in profiles. The addresses are those of PoCo's
// config/config.json and deployments folder, the URLs those of iExec's SDK
// 8.24 (Bellecour) and 9.0 (Arbitrum).
func Chains() []Chain {
	arbitrumRegistry := common.HexToAddress("0x9950D94fb074182ee93ff79A50Cd698C4983281F")
	return []Chain{
		{
			Name:        "bellecour",
			ID:          134,
			Hub:         common.HexToAddress("0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f"),
			AppRegistry: common.HexToAddress("0xB1C52075b276f87b1834919167312221d50c9D16"),
			RPC:         "https://bellecour.iex.ec",
			Market:      "https://api.market.v8-bellecour.iex.ec",
			SMS:         "https://sms.iex.ec",
			Gateway:     "https://ipfs-gateway.v8-bellecour.iex.ec",
			ENS:         common.HexToAddress("0x5f5B93fca68c9C79318d1F3868A354EE67D8c006"),
			Fees:        FeesLegacy,
		},
		{
			Name:        "arbitrum-one",
			ID:          42161,
			Hub:         common.HexToAddress("0x098bFCb1E50ebcA0BaA92C12eA0c3F045A1aD9f0"),
			AppRegistry: arbitrumRegistry,
			RPC:         "https://arb1.arbitrum.io/rpc",
			Market:      "https://api.market.arbitrum-mainnet.iex.ec",
			SMS:         "https://sms.arbitrum-mainnet.iex.ec",
			Gateway:     "https://ipfs-gateway.arbitrum-mainnet.iex.ec",
			Fees:        FeesEIP1559,
		},
		{
			Name:        "arbitrum-sepolia",
			ID:          421614,
			Hub:         common.HexToAddress("0xB2157BF2fAb286b2A4170E3491Ac39770111Da3E"),
			AppRegistry: arbitrumRegistry,
			RPC:         "https://sepolia-rollup.arbitrum.io/rpc",
			Market:      "https://api-market.arbitrum-sepolia-testnet.iex.ec",
			SMS:         "https://sms.arbitrum-sepolia-testnet.iex.ec",
			Gateway:     "https://ipfs-gateway.arbitrum-sepolia-testnet.iex.ec",
			Fees:        FeesEIP1559,
		},
	}
}
