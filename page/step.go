package page

import (
	"encoding/xml"
	"fmt"
	"time"

	"github.com/mrelease/mrelease/printable"
)

// Step is a part of a run, and how it ended.
type Step struct {
	Name     string
	Took     time.Duration
	Evidence string // a digest, an address, what was found
	Err      error  // nil when it went well
	Open     bool   // the error says that it was not done, and not that it went wrong
	Absent   bool   // there is nothing that could be looked at, and need not be
}

func (s Step) mark() string {
	switch {
	case s.Open:
		return "– not done"
	case s.Err != nil:
		return "✗ failed"
	case s.Absent:
		return "– absent"
	}
	return "✓"
}

func (s Step) evidence() string {
	if s.Err != nil {
		return s.Err.Error()
	}
	return s.Evidence
}

// JUnit's document, as far as GitLab, Jenkins and others read it.
type (
	suites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   suite    `xml:"testsuite"`
	}
	suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds
		Cases    []testCase
	}
	testCase struct {
		XMLName xml.Name `xml:"testcase"`
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure,omitempty"`
		Skipped *skipped `xml:"skipped,omitempty"`
		Out     string   `xml:"system-out,omitempty"`
	}
	failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	skipped struct {
		Message string `xml:"message,attr"`
	}
)

// JUnit writes the steps of a command as test cases. What cannot be seen is written out,
// as everywhere, so all of it can stand in XML.
func JUnit(command string, steps []Step) ([]byte, error) {
	s := suite{Name: "mrelease " + printable.Text(command), Tests: len(steps)}
	var took time.Duration
	for _, step := range steps {
		took += step.Took
		c := testCase{Class: s.Name, Name: printable.Text(step.Name), Time: seconds(step.Took)}
		text := printable.Lines(shortened(step.evidence(), maxBlock))
		switch {
		case step.Open:
			s.Skipped++
			c.Skipped = &skipped{text}
		case step.Err != nil:
			s.Failures++
			c.Failure = &failure{text, text}
		default:
			c.Out = text
		}
		s.Cases = append(s.Cases, c)
	}
	s.Time = seconds(took)
	document, err := xml.MarshalIndent(suites{Suite: s}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding report of the steps: %w", err)
	}
	return append([]byte(xml.Header), append(document, '\n')...), nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
