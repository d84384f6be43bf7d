// Package poco holds the nouns of iExec's PoCo protocol: the app, its order,
// the order's tag, the chains the protocol is deployed on, and how an order is
// hashed. It is for whoever speaks the protocol, does no I/O and holds no keys.
//
// # The hash of an order
//
// An order is identified by its EIP-712 digest
//
//	keccak256(0x19 0x01 ‖ domainSeparator ‖ structHash)
//
// The domain is {name: "iExecODB", version: "5.0.0", chainId, verifyingContract:
// hub}; the hub's domain() returns the same four values. The struct hash is
// keccak256(typeHash ‖ fields), each field in 32 bytes, in the order in which
// the type string names them. The contract that defines both is IexecLibOrders_v5
// of the PoCo repository; versions 5 and 6 of the protocol share them.
//
// The owner of the app signs that digest with secp256k1; the signature is the
// 65 bytes r ‖ s ‖ v with v 27 or 28. The hub checks it with
// verifySignature(owner, hash, signature).
package poco
