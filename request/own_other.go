//go:build !unix

package request

import "io/fs"

// foreign finds nothing: the system keeps no such modes, and a folder is as private as the
// one that it is made in.
func foreign(fs.FileInfo) string { return "" }
