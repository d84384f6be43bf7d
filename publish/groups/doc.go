// Package groups has apps in the groups of ERC-734 contracts, to which orders of others can be
// restricted: the hub takes an app for a member whose address, padded to 32 bytes on the
// left, is a key of purpose 4 there. A member is added with addKey and taken out with
// removeKey, by who the contract lets.
package groups
