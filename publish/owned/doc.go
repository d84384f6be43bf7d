// Package owned verifies all apps of an owner in one call: it enumerates them on the chain,
// verifies each as package record does for an app's address, some at the same time, and tells
// of each in the registry's order. What one app is, or its registry does, stops no other.
//
// No image is run, and unless that is asked for no layer is read: of a thousand apps that
// would be terabytes.
package owned
