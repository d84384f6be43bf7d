// Package rootfs reads what is in an image: the entries of a layer, and the file
// system that the layers make together, with the packages that it has and the
// program that it starts.
//
// Layers can be made so that a careless reader sees another file than the one that a
// container has: twice the same name, links in the way, whiteouts out of place. There
// is one reader here, tree, which extracts a layer as BuildKit does, and the tests let
// BuildKit and the kernel judge it.
//
// Content is hashed while it streams by and never kept: memory grows with the
// number of files, not with their size.
package rootfs
