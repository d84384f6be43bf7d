package main

import (
	"fmt"
	"slices"
)

// row is a line of the table.
type row struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Ours   *figure `json:"mrelease"`
	Theirs *figure `json:"others,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"` // of theirs to ours
	Parts  []part  `json:"parts,omitempty"` // of theirs
	Note   string  `json:"note,omitempty"`
	At     *point  `json:"at,omitempty"` // on the plot
	Target string  `json:"target,omitempty"`
	Met    *bool   `json:"met,omitempty"`
}

// figure is what was measured of one side.
type figure struct {
	Median float64   `json:"median"`
	All    []float64 `json:"all"`
	CPU    float64   `json:"cpuSeconds,omitempty"` // median
	Peak   float64   `json:"peakMB,omitempty"`     // largest
}

// part is the median of one program of a script.
type part struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// times summarises runs.
func times(costs []cost) *figure {
	f := values(pick(costs, func(c cost) float64 { return c.Wall.Seconds() })...)
	f.CPU = median(pick(costs, func(c cost) float64 { return c.CPU.Seconds() }))
	f.Peak = slices.Max(pick(costs, func(c cost) float64 { return megabytes(c.Peak) }))
	return f
}

// values summarises what is no time.
func values(all ...float64) *figure { return &figure{Median: median(all), All: all} }

// times is the figure of as many such pieces of work, one after the other.
func (f *figure) times(n int) *figure {
	return &figure{Median: f.Median * float64(n), CPU: f.CPU * float64(n), Peak: f.Peak}
}

func pick(costs []cost, of func(cost) float64) []float64 {
	var list []float64
	for _, c := range costs {
		list = append(list, of(c))
	}
	return list
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// compare makes a row of both sides' runs.
func compare(name string, ours, theirs []cost) row {
	r := row{Name: name, Unit: "s", Ours: times(ours), Theirs: times(theirs)}
	r.Ratio = r.Theirs.Median / r.Ours.Median
	return r
}

func (r row) judge(target string, met bool) row {
	r.Target, r.Met = target, &met
	return r
}

// atMost sets a limit to our figure.
func (r row) atMost(limit float64) row {
	return r.judge(number(limit, " "+r.Unit)+" at most", r.Ours.Median <= limit)
}

// atLeast sets a limit to our figure from below.
func (r row) atLeast(limit float64) row {
	return r.judge(number(limit, " "+r.Unit)+" at least", r.Ours.Median >= limit)
}

// atMostTimes sets a limit to our figure in terms of theirs.
func (r row) atMostTimes(limit float64) row {
	return r.judge(number(limit, "")+" times the others at most", r.Ours.Median <= limit*r.Theirs.Median)
}

// faster asks for a ratio.
func (r row) faster(least float64) row {
	return r.judge(number(least, "x")+" at least", r.Ratio >= least)
}

func (r row) verdict() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return r.Target + ": met"
	}
	return r.Target + ": MISSED"
}

// cells are the three columns of one side.
func (f *figure) cells(unit string) string {
	if f == nil {
		return "\t\t"
	}
	zero := ""
	if f.Median == 0 {
		zero = "0 " + unit
	}
	return zero + number(f.Median, " "+unit) + "\t" + number(f.CPU, " s") + "\t" + number(f.Peak, " MB")
}

// number writes a figure in three digits; nothing when there is none.
func number(v float64, unit string) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	}
	return fmt.Sprintf("%.3g%s", v, unit)
}
