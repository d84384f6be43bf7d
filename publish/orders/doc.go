// Package orders is for owners of apps: it offers them on iExec's market. It signs an
// app's order, publishes it and reads it back.
//
// An order's salt is derived from the order, so a second run of the same release finds
// the order that the first one published.
package orders
