// Package record writes the document of a release and verifies one against the
// world: the image, its signature and measurement, the app on its chain, and
// the order on the market.
package record
