// Package fspf is a stand-in for SCONE's file-system protection files.
//
// A protection file divides a file system into regions and lists the hashes of
// the files in the protected ones. SCONE's own format is not public; this one
// has the same operations and the same rules:
//
//   - a region is a path prefix, and the longest prefix that fits decides
//   - a region has one class (not protected, authenticated or encrypted) and one
//     backing (a folder of the kernel's file system, or memory)
//   - there is a root region when the file is encrypted
//   - the file has an AES-GCM tag, and a new random key each time it is encrypted
//
// On disk it is a line of text, [Magic], followed by nonce, ciphertext and tag of
// AES-256-GCM over a JSON document. A file that is not encrypted is sealed under
// a key of zeros, so that damage to it is noticed too.
package fspf
