// Package request is the side of whoever has apps run: the key that results are
// encrypted for, the secrets that runs are given, and the orders that runs are bought with.
//
// # The result key
//
// A beneficiary's results are encrypted with an RSA key, whose public half the secret
// service (SMS) of the chain holds as the web2 secret "iexec-result-encryption-public-key":
// base64 of its PEM. Both halves lie in files beside each other, as iExec's command line
// names them since version 3: ADDRESS_key (PKCS #8) and ADDRESS_key.pub (SPKI), by default
// in .secrets/beneficiary.
//
// # What the secret service tells
//
// It tells whether there is a secret, and nothing about its value (SecretController and
// AppComputeSecretController of iexec-sms). So which key it has is not to be asked; the
// package notes beside a key which one it pushed to which service, and tells that for
// what it is. A web2 secret can be replaced by its owner, a requester's secret cannot.
//
// # How a secret is signed
//
// Its owner signs, as a message of EIP-191, the 32 bytes
//
//	keccak256(keccak256("IEXEC_SMS_DOMAIN") ‖ address ‖ keccak256(name) ‖ keccak256(value))
//
// There is nothing in it that is used once: the signature can be sent again, with the
// same value.
package request
