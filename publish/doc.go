// Package publish brings a measured image to the world: it pushes and signs the
// image, registers the app on PoCo's contracts, offers it on iExec's market,
// and writes the record of it all. Each act stands beside its check in one
// file; an auditor calls the second half only.
//
// A release converges. Every act first asks whether its result is already
// there, and every identifier is derived from the inputs: the image by its tag,
// the app by CREATE2, the order by a deterministic salt. So an act that was
// interrupted, or repeated on another machine, ends in the same state, and
// nothing is made twice.
//
// The package runs no programs, reads no environment and knows no CI; all of
// its network access goes to the registry, the JSON-RPC endpoint and the market
// that it is given.
package publish
