// Package node speaks with an Ethereum node about a deployment of the protocol: what
// the hub says of orders, what accounts hold, and the transactions of a wallet. It is
// for everybody who is on the chain: owners of apps, requesters, and who checks either.
package node
