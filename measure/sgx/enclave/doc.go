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
// # What "proven" means
//
// The CPU starts pages only if they measure to what the SIGSTRUCT says that the
// loader gives it. So an enclave is proven if its pages measure to what is validly
// signed, and a file only holds proven enclaves if each SIGSTRUCT that one of the
// loaders could take from it is among them. A file is refused if it has one that
// could be overlooked: a metadata block outside the note, a patch of the metadata,
// blocks of several signers, marks of both SDKs or two of the same.
//
// A file that is, or by its marks was, an enclave of one of the SDKs and cannot be
// measured is an error, however valid its signature: else one changed byte in a
// name would spare changed code the measurement.
//
// Files are taken for hostile. Whatever they claim, memory stays below some tens
// of megabytes (for honest files it is less than one), and time is bounded by
// the file's size, by [Options], and by the context.
package enclave
