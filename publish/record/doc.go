// Package record writes the document of a release, says what the image's key
// attests of it, and verifies a record against the world: the image, its
// signature, provenance and measurement, the app on its chain, and the order on
// the market.
package record
