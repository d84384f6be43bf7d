// Package rebuild holds a test, run by "make rebuild": the second example is
// built twenty times, on what would be five machines and with four builders, and
// every build gives the same image and the same measurement.
package rebuild
