// Package e2e holds the tests that run mrelease as its users do: the binary of
// `make build`, with the real BuildKit and runc, in worlds of package world.
//
// A script of testdata/script is one test. It works in a folder of its own, with
// an image repository, a wallet and an app of its own; see commands_test.go for
// what it can say besides testscript's own commands. After each script what
// mrelease printed and left anywhere is searched for the script's secrets.
package e2e
