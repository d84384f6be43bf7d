// Package measure answers what an image's enclave measures to.
//
// The answer is read by running the image, through whatever [Runner] the caller
// has, in the mode in which the enclave's runtime prints its measurement and
// ends. It is then compared with every other place that states it: the
// fingerprint file in the image and the lines that the build printed. They
// agree, or the measurement fails.
//
// It is for whoever must know what an image measures to, to release it or to check
// it, and knows nothing of how images are built, pushed or registered.
package measure
