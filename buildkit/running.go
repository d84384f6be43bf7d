package buildkit

import (
	"fmt"
	"slices"

	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

// running keeps which steps of a build run, for a display of a few lines.
type running struct {
	tell  func(lines []string)
	steps []*runningStep // in the order of their beginning
}

type runningStep struct {
	digest      digest.Digest
	name        string
	done, total map[string]int64 // bytes, by part
}

// update takes note of a status, and tells what runs then.
func (r *running) update(status *client.SolveStatus) {
	for _, v := range status.Vertexes {
		i := slices.IndexFunc(r.steps, func(s *runningStep) bool { return s.digest == v.Digest })
		switch {
		case v.Completed != nil && i >= 0:
			r.steps = slices.Delete(r.steps, i, i+1)
		case v.Started != nil && v.Completed == nil && i < 0:
			r.steps = append(r.steps, &runningStep{v.Digest, v.Name, map[string]int64{}, map[string]int64{}})
		}
	}
	for _, s := range status.Statuses {
		i := slices.IndexFunc(r.steps, func(step *runningStep) bool { return step.digest == s.Vertex })
		if i >= 0 && len(r.steps[i].total) < maxParts {
			r.steps[i].done[s.ID], r.steps[i].total[s.ID] = s.Current, s.Total
		}
	}
	var lines []string
	for _, s := range r.steps {
		lines = append(lines, s.String())
	}
	r.tell(lines)
}

// maxParts is how many parts of a step are counted, such as layers that are pulled.
const maxParts = 1000

// String returns the step's name and, where bytes are counted, how many.
func (s *runningStep) String() string {
	var done, total int64
	for part := range s.total {
		done, total = done+s.done[part], total+s.total[part]
	}
	switch {
	case total > 0:
		return fmt.Sprintf("%s  %s of %s", s.name, units.HumanSize(float64(done)), units.HumanSize(float64(total)))
	case done > 0:
		return fmt.Sprintf("%s  %s", s.name, units.HumanSize(float64(done)))
	}
	return s.name
}
