// Package deal buys runs of apps: it finds the orders of the market that match a request,
// makes a deal of them on the chain, follows the deal's tasks, and takes back what was paid
// for those that never ended.
//
// # One order, one deal
//
// A request's order can be matched for as many runs as it is for, and the hub names the
// deal by the order's hash and by how many of its runs were sold before:
//
//	deal = keccak256(hash of the requestorder ‖ runs sold before, as uint256)
//
// So which deals were made of an order is read from the chain, and no second one is made
// of the same order: whoever was interrupted, or has lost the node's answer, asks again
// with the same order. [Trade.Buy] waits for transactions of the wallet that are in no
// block yet before it believes that there is no deal.
package deal
