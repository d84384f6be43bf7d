// Package enclave reads the files in which SGX enclaves come, computes their
// MRENCLAVE as their own loader would build them, and compares it with what
// their SIGSTRUCT says.
//
// [Open] knows five kinds of file:
//
//   - a SIGSTRUCT alone: nothing to compute, its signature is checked;
//   - an SGXS stream: computed;
//   - an enclave of Intel's SGX SDK, an ELF file with a section .note.sgxmeta:
//     computed for each metadata block, as urts loads it (intel/linux-sgx:
//     psw/urts/loader.cpp, versions 1.5 to 2.26);
//   - an enclave of the Open Enclave SDK, an ELF file with a section .oeinfo:
//     computed as its host loads it (openenclave: host/sgx/create.c and
//     loadelf.c, versions 0.5 to 0.19);
//   - any other file with SIGSTRUCTs in it: not computed, since the runtime
//     that builds the enclave is not known; the signatures are checked.
//
// Files are taken for hostile. Whatever they claim, memory stays below some tens
// of megabytes (for honest files it is less than one), and time is bounded by
// the file's size, by the limits of this package and by the context.
package enclave
