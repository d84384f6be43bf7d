package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the document that is written.
type report struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Short   bool      `json:"short"`
	Runs    int       `json:"runs"`
	Machine machine   `json:"machine"`
	Rows    []row     `json:"rows"`
}

// machine is where the figures were taken; what it does not tell is empty.
type machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Memory    string `json:"memory"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Load      string `json:"load"` // averages before the benchmark began
}

func newReport(short bool, runs int) *report {
	return &report{
		Schema: "mrelease.bench/v1", Time: time.Now().UTC().Truncate(time.Second), Short: short, Runs: runs,
		Machine: machine{
			Processor: lineOf("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: lineOf("/proc/meminfo", "MemTotal"),
			Kernel: lineOf("/proc/sys/kernel/osrelease", ""), Go: runtime.Version(), Load: lineOf("/proc/loadavg", ""),
		},
	}
}

// lineOf returns what a file of the kernel's says of a key.
func lineOf(file, key string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.Trim(rest, " \t:\n")
		}
	}
	return ""
}

func (r *report) writeFile(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing figures: %w", err)
	}
	return nil
}

// print writes the table, and below it what the table has no room for.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tmrelease\tCPU\tpeak\tothers\tCPU\tpeak\tratio\ttarget")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row.Name, row.Ours.cells(row.Unit), row.Theirs.cells(row.Unit), number(row.Ratio, "x"), row.verdict())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing figures: %w", err)
	}
	fmt.Fprintf(w, "\nMedians of %d runs, in turns; peak: of the largest process. %d cores of %s, load before: %s\n", r.Runs, r.Machine.Cores, r.Machine.Processor, r.Machine.Load)
	for _, row := range r.Rows {
		if row.Note != "" {
			fmt.Fprintf(w, "- %s: %s\n", row.Name, row.Note)
		}
		for _, p := range row.Parts {
			fmt.Fprintf(w, "  - others, %s: %.2f s\n", p.Name, p.Seconds)
		}
	}
	return nil
}

// verdict is an error that names the targets which are missed. Times depend on
// the machine and on what else it does, so the table is their place, unless the
// check is strict.
func (r *report) verdict(strict bool) error {
	var errs []error
	for _, row := range r.Rows {
		isTime := row.Unit == "s" || row.Unit == "%"
		if row.Met != nil && !*row.Met && (strict || !isTime) {
			errs = append(errs, fmt.Errorf("%s: %s misses the target %s", row.Name, number(row.Ours.Median, " "+row.Unit), row.Target))
		}
	}
	return errors.Join(errs...)
}
