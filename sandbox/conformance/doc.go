// Package conformance shows that a release is the same wherever it runs: by the plain
// command, as a step of a GitHub workflow (act), in a GitLab pipeline (gitlab-ci-local)
// and in the container image, with its own builder, rootful and rootless, and with a
// daemon's (make conformance).
package conformance
