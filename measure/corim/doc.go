// Package corim writes what an enclave must measure to as a CoRIM: a concise reference
// integrity manifest (draft-ietf-rats-corim), with the measurements that Intel's profile
// adds (draft-cds-rats-intel-corim-profile). Whoever appraises an enclave's quote reads
// such reference values.
//
// The bytes are a function of the values: CBOR in its core deterministic encoding (RFC 8949,
// section 4.2.1), without a time. So what somebody else wrote is compared by writing it
// again, and nothing has to be parsed.
package corim
