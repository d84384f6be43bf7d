package main

import (
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/poco"
)

// planAnswer is the answer of mrelease plan --json.
type planAnswer struct {
	Schema     string          `json:"schema"`
	Version    string          `json:"version"`
	Commit     string          `json:"commit,omitempty"`
	Inputs     string          `json:"inputs"`
	Image      string          `json:"image"`
	Digest     string          `json:"digest,omitempty"`      // when the image is there
	AppAddress string          `json:"app-address,omitempty"` // when the image is there
	OrderHash  string          `json:"order-hash,omitempty"`  // when the image is there
	Steps      []planStep      `json:"steps"`
	Make       []string        `json:"make"` // the steps that a release would make; empty when all is there
	Cost       *planCost       `json:"cost,omitempty"`
	Obstacles  []poco.Obstacle `json:"obstacles,omitempty"` // who cannot use the order
}

// planStep is one thing that a release leaves behind.
type planStep struct {
	Name     string    `json:"name"`
	State    planState `json:"state"`
	Evidence string    `json:"evidence"`
}

type planState string

const (
	isThere  planState = "there"
	toMake   planState = "make"
	untold   planState = "unknown" // cannot be seen from here, or not yet
	planNote planState = ""        // no step: more about the plan
)

// planCost is in wei, as text: the amounts do not fit into JSON's numbers.
type planCost struct {
	Gas     uint64 `json:"gas"`
	Price   string `json:"price"`
	Wei     string `json:"wei"`
	Balance string `json:"balance"`
}

// step adds a line to the plan.
func (p *planner) step(name string, state planState, format string, args ...any) {
	evidence := fmt.Sprintf(format, args...)
	if state != planNote {
		p.answer.Steps = append(p.answer.Steps, planStep{name, state, evidence})
	}
	if state == toMake {
		p.answer.Make = append(p.answer.Make, name)
	}
	if p.json {
		return
	}
	mark := map[planState]string{
		isThere: p.lines.paint(green, "✓"), toMake: p.lines.paint(yellow, "+"), untold: p.lines.paint(yellow, "?"), planNote: " ",
	}[state]
	p.lines.note("%s %-10s %s", mark, name, evidence)
}

func (a planAnswer) has(name string, state planState) bool {
	for _, s := range a.Steps {
		if s.Name == name {
			return s.State == state
		}
	}
	return false
}

func (a planAnswer) conclusion() string {
	var untolds []string
	for _, s := range a.Steps {
		if s.State == untold {
			untolds = append(untolds, s.Name)
		}
	}
	switch {
	case len(a.Make) > 0 && len(untolds) > 0:
		return fmt.Sprintf("would make: %s; cannot tell: %s", strings.Join(a.Make, ", "), strings.Join(untolds, ", "))
	case len(a.Make) > 0:
		return "would make: " + strings.Join(a.Make, ", ")
	case len(untolds) > 0:
		return "would make nothing else; cannot tell: " + strings.Join(untolds, ", ")
	}
	return fmt.Sprintf("nothing would be made: image, signature, provenance, app and order of %s are there", a.Version)
}
