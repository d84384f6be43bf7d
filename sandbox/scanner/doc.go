// Package scanner is a stand-in for a scanner that lists what is in an image, such as
// docker/buildkit-syft-scanner: it speaks BuildKit's SBOM scanning protocol, and writes what
// it finds as SPDX 2.3 in an in-toto statement. As syft does it writes the time of the scan,
// and a random UUID into the document's namespace; and it lists everything in a random order,
// which syft does not. It knows Debian's packages and regular files, and nothing else.
package scanner
