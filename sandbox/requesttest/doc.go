// Package requesttest tests what requesters do, against the real contracts, a market and
// workerpools that work.
package requesttest
