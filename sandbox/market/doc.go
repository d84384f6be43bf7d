// Package market is iExec's order book, version 7.1.2, in memory: the same
// paths, answers, messages and status codes as iexec-market-api, and the same
// checks. What an order's owner, signature and consumed volume are is asked of
// the chain; nothing is believed.
//
// It differs where the real one needs a second process: instead of watching the
// chain's events it reads what is new at each request.
package market
