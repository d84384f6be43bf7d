package world

import (
	"crypto/ecdsa"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Accounts is how many accounts have a balance on the chains.
const Accounts = 10

// Key returns the private key of an account: one of the ten that Hardhat derives
// from "test test test test test test test test test test test junk". Everybody
// knows them; nothing of value may belong to one. Number 0 deploys the contracts,
// number 1 is the wallet that releases, 8 and 9 are scheduler and worker.
func Key(account int) *ecdsa.PrivateKey {
	key, err := crypto.HexToECDSA([Accounts]string{
		"ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
		"59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
		"5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
		"7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
		"47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
		"8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
		"92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
		"4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
		"dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
		"2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
	}[account])
	if err != nil {
		panic("world: parsing test key: " + err.Error())
	}
	return key
}

// Sign has an account sign a hash, whatever that is of: 65 bytes r ‖ s ‖ v, with v 27 or 28.
func Sign(account int, hash common.Hash) []byte {
	signature, err := crypto.Sign(hash[:], Key(account))
	if err != nil {
		panic("world: signing: " + err.Error())
	}
	signature[crypto.RecoveryIDOffset] += 27
	return signature
}

// balances gives every account ten thousand coins.
func balances() types.GenesisAlloc {
	coins := new(big.Int).Mul(big.NewInt(10_000), big.NewInt(1e18))
	alloc := types.GenesisAlloc{}
	for i := range Accounts {
		alloc[crypto.PubkeyToAddress(Key(i).PublicKey)] = types.Account{Balance: coins}
	}
	return alloc
}
