// Package result reads the results of runs whose beneficiary asked for encryption: it
// finds the format, decrypts with the beneficiary's RSA key, and writes what the app
// wrote into a new folder.
//
// # Formats
//
// A result is a zip archive with two entries: an AES key that is encrypted with the
// beneficiary's RSA key, and the zip archive of what the app wrote, encrypted with that
// AES key and padded as in PKCS #7. Three formats were ever written:
//
//	                 [OAEP]                       [ECB]                            [CBC]
//	written by       SDK 3 and 4, until 5.0.0     SDK 5.0.1 to 8.14                SDK 8.15 and later
//	key entry        iexec_out/encrypted_key      aes-key.rsa                      aes-key.rsa
//	  holds          RSA-OAEP (SHA-1), 32 bytes   base64 of RSA PKCS #1 v1.5       RSA PKCS #1 v1.5, 32 bytes
//	                                              of base64 of 16 bytes
//	data entry       iexec_out/result.zip.aes     iexec_out.zip.aes                iexec_out.zip.aes
//	  holds          IV, AES-256-CBC              base64 of AES-128-ECB            IV, AES-256-CBC
//
// They are those of signer.py of iExec's SMS of 2019, of CipherUtils and EncryptionHelper
// in iexec-common, and of decryptResult in iExec's SDK.
//
// # What decrypting shows
//
// None of the formats authenticates: who can write a result can write another one for
// the same key, which is public. What is found here is damage (by the checksums and the
// structure of both archives, and the padding), not forgery; the contracts' hash of the
// result is for that.
package result
