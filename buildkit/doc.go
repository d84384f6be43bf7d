// Package buildkit turns a source folder into an image, and runs an image,
// with BuildKit: linked into this program, a daemon elsewhere, or the one
// inside a Docker engine.
//
// A build is meant to be repeatable: the same [Source] gives the same manifest
// digest on any machine. To that end the context is sent in a normal form
// (modification times, modes and owners do not depend on the checkout), every
// time stamp in the image becomes the source's epoch, the Dockerfile frontend
// is the built-in one whatever a "# syntax=" line asks for, and no attestation
// is attached to the image. What a RUN step fetches or computes is its own
// affair.
//
// The package reads no environment variables and prints nothing; writers and
// values come from the caller.
package buildkit
