// Package examples holds the files of the example app that mrelease init begins a
// project with: what users get is what the demo releases.
package examples

import _ "embed"

// Dockerfile returns that of hello-python, which seals its image itself.
func Dockerfile() string { return dockerfile }

// UnsealedDockerfile returns that of an app without an enclave value.
func UnsealedDockerfile() string { return unsealed }

// Dockerignore returns the .dockerignore beside it.
func Dockerignore() string { return dockerignore }

var (
	//go:embed hello-python/Dockerfile
	dockerfile string
	//go:embed unsealed.Dockerfile
	unsealed string
	//go:embed hello-python/.dockerignore
	dockerignore string
)
