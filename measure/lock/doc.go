// Package lock keeps the measured inputs of the last accepted release in a file
// of the repository, enclave.lock, and says what changed since.
//
// The file holds all that the measurement is made of, a value a line, so that a
// change of it can be read in a review: the digests of base images and
// toolchains, the enclave's settings, the program that the image starts with its
// libraries, a digest for each measured folder, the installed packages, and the
// MRENCLAVE itself. The app's own code is in it only where the enclave measures
// it.
package lock
