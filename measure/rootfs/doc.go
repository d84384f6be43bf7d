// Package rootfs reads what is in an image: the entries of a layer, and the file
// system that the layers make together, with the packages that it has and the
// program that it starts.
//
// Content is hashed while it streams by and never kept: memory grows with the
// number of files, not with their size.
package rootfs
