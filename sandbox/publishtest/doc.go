// Package publishtest holds the tests of the publish packages that need what
// they publish to: the real contracts, a market, a registry.
package publishtest
