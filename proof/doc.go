// Package proof checks what a chain stores against the hash of a block, with no node to
// believe. A block's header has the root of the chain's state in it, and a proof leads from
// that root to an account's storage (EIP-1186, as nodes give it by eth_getProof); so
// whoever knows the hash of a block from a source of their own needs nobody's word for the
// rest.
//
// An app is proven in three steps, each a contract's storage at that block: the hub names
// its EIP-712 domain, in which are the chain's id and its own address, and the app registry;
// the registry is a token (ERC-721) whose owner of the app's address is the app's owner; and
// the app has the registry and its own fields. Of an order the hub has how many runs were
// sold, and who presigned it. The contracts' layouts of storage are those of iExec's PoCo 5 and 6.
package proof
