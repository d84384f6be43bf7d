// Package market is a client of iExec's order book: it looks up orders, lists them and
// puts signed ones in. What an order says is its caller's affair.
package market
