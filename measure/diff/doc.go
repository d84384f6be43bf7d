// Package diff says how two images differ, down to the file and to what of the
// file differs, and knows the usual causes and their cures.
//
// It compares in the order in which a difference matters: the digest of the
// config, which is the identity of the content; the digest of the manifest,
// which covers the compression too; then the settings of the config, and the
// layers entry by entry. Layers are read as streams, so memory grows with how
// far their entries are out of step, not with their size.
package diff
