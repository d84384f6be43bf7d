// Package buildkit turns a source folder into an image, and runs an image,
// with BuildKit: linked into this program, a daemon elsewhere, or the one
// inside a Docker engine.
//
// A build is meant to be repeatable: the same [Source] gives the same manifest
// digest on any machine and by any builder, also by one that built others before, as
// far as its cache sees what differs (DESIGN.md has the exceptions). To that end
// the context is sent in a normal form (modification times, modes and owners do
// not depend on the checkout), every file that the build makes gets one time, new
// layers are compressed here, the Dockerfile frontend is the one in this program
// whatever a "# syntax=" line asks for, and no attestation is attached to the
// image. What a RUN step fetches or computes is its own affair.
//
// The package reads no environment variables and prints nothing; writers and
// values come from the caller.
package buildkit
