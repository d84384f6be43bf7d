// Package interop holds tests, run by "make interop", in which programs written
// by others are the judges of what mrelease does: cosign's own command line,
// three versions of iExec's, Sigstore's own servers, and a registry that many others are
// made from.
package interop
