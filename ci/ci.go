// Package ci is what a CI system is told and asked, and how: GitHub Actions, GitLab, or
// none. Another system is another implementation of Reporter, a part of ReadRun and a
// line in New.
package ci

import "github.com/mrelease/mrelease/printable"

// Reporter is what a CI system is told.
type Reporter interface {
	Mask(secret string) // never show this text, nor what it looks like in base64, hex or a URL
	// Group folds what is printed until end. None of it is a command, whatever it
	// says.
	Group(name string) (end func())
	// Ready makes sure that what the job is to be told can be written: later steps
	// would take an output that is missing for an empty one. Known are the outputs whose
	// values are known before the work.
	Ready(known ...Output) error
	Outputs(values []Output) error  // for later steps of the job, or later jobs
	Summary(markdown string) error  // for the job's page
	JUnit(document []byte) error    // the steps as test cases
	Failed(message string, at []At) // why the job ends, and the lines that are at fault
}

// Output is a value for later steps.
type Output struct {
	Name  string // such as app-address
	Value string
	// File is set for a value that may have many lines: the name of the file that holds
	// it where a system's outputs are one line each.
	File string
}

// At is a place in a file, and what is wrong there.
type At struct {
	File         string
	Line, Column int // from 1; 0 for none
	Text         string
}

// New returns the reporter of the system that the environment tells of. What it is
// told through the log goes to w.
func New(getenv func(string) string, w *printable.Writer) Reporter {
	switch systemOf(getenv) {
	case GitHub:
		return &github{getenv: getenv, w: w, emulated: isAct(getenv)}
	case GitLab:
		return newGitLab(getenv, w)
	}
	return plain{}
}

// plain is no CI system: a terminal, or a job that only keeps the log.
type plain struct{}

func (plain) Mask(string)            {}
func (plain) Group(string) func()    { return func() {} }
func (plain) Ready(...Output) error  { return nil }
func (plain) Outputs([]Output) error { return nil }
func (plain) Summary(string) error   { return nil }
func (plain) JUnit([]byte) error     { return nil }
func (plain) Failed(string, []At)    {}
