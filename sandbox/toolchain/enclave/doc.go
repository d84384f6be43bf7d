// Package enclave is a stand-in for the measurement that SCONE's runtime makes
// of a program.
//
// SCONE's layout of an enclave's pages is not public, so a real MRENCLAVE cannot
// be computed here. What this package computes depends on the same things (the
// program, the libraries that are loaded at start-up, heap, stack and the other
// settings that SCONE documents) and on nothing else, and is marked as
// synthetic: its first nine bytes are the ASCII text SYNTHETIC.
package enclave
