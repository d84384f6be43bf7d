// Package sgx computes and checks what SGX hardware measures and verifies: the
// MRENCLAVE of a sequence of pages, and the SIGSTRUCT that signs it.
//
// # Measurement
//
// MRENCLAVE is a SHA-256 over blocks of 64 bytes, one or more for each
// instruction that builds the enclave (Intel SDM volume 3D, "Enclave
// measurement" and the operation sections of ECREATE, EADD and EEXTEND). All
// numbers are little endian; what a row does not name is zero:
//
//	ECREATE   0 "ECREATE"  8 SSAFRAMESIZE in pages (4 bytes)  12 SIZE in bytes (8 bytes)
//	EADD      0 "EADD"     8 offset of the page (8 bytes)     16 SECINFO.FLAGS (8 bytes)
//	EEXTEND   0 "EEXTEND"  8 offset of the chunk (8 bytes)    64 the chunk's 256 bytes
//
// Offsets count from the start of the enclave's address range. A page that is
// added but not extended counts with its place and permissions only; a page
// whose content counts is sixteen EEXTENDs. Attributes, product numbers and the
// signer are not part of it.
//
// [Measurer] does this for whoever knows the pages, [MeasureSGXS] for a stream
// that lists them. Package enclave finds the pages of signed enclave files.
//
// # Signature
//
// A SIGSTRUCT has 1808 bytes (Intel SDM volume 3D, table "Layout of Enclave
// Signature Structure"). [ParseSIGSTRUCT] accepts only what EINIT could accept,
// [SIGSTRUCT.Verify] checks its RSA-3072 signature, [Sign] makes one, [Find]
// looks for them in any file, and [Policy] says which of them are good enough.
//
// The package uses the standard library only. In the mode GODEBUG=fips140=only
// that library refuses the exponent 3 which SGX prescribes.
package sgx
