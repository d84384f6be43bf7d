// Package page is what people look at after a run: the summary of a job in markdown, the
// report of its steps, and the values that the command line and CI systems get. It is
// given values, and reads and writes nothing.
//
// Text from outside stands in a summary as code only ([Code], [Fence]), where it is no
// markup: no heading that says PASSED, no link, no mention.
package page
