// Package evidence keeps what a verification was told in one file, from which it can be
// made again without any network: the record, what node, market and registry answered, and
// the chain's proof of app and order.
//
// The file is JSON of schema mrelease.evidence/v1, written in one way only. Nobody signs it,
// and nobody has to: what is signed in it (record, order, statements about the image) and
// what is named by its digest or proven against a block's hash is checked as ever, and what
// is not is the word of whoever made it, as of the time that they name.
package evidence
