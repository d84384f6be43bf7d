package buildkit

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Environment returns what the Dockerfile itself puts into the image's environment,
// "NAME=value", as far as it is written out: what depends on a variable, or comes from a
// base image, is known after the build.
func (s Source) Environment() []string {
	var found []string
	for _, stage := range s.lineage() {
		for _, command := range stage.Commands {
			c, ok := command.(*instructions.EnvCommand)
			if !ok {
				continue
			}
			for _, pair := range c.Env {
				prefix, value := pair.Key+"=", unquoted(pair.Value)
				found = slices.DeleteFunc(found, func(set string) bool { return strings.HasPrefix(set, prefix) })
				if !strings.ContainsAny(value, `$\"'`) {
					found = append(found, prefix+value)
				}
			}
		}
	}
	return found
}

func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// lineage returns the stage that is built, after the stages that it begins from.
func (s Source) lineage() []instructions.Stage {
	stages := s.stages()
	if len(stages) == 0 {
		return nil
	}
	at := len(stages) - 1
	if i, ok := stageOf(stages, s.Target); ok {
		at = i
	}
	line := []instructions.Stage{stages[at]}
	for {
		i, ok := stageOf(stages[:at], stages[at].BaseName)
		if !ok {
			return line
		}
		at = i
		line = append([]instructions.Stage{stages[at]}, line...)
	}
}

// PinnedBases returns the digests of the base images that are pinned, by the short name
// of the image without its tag, which the builder leaves out of a pinned one's.
func (s Source) PinnedBases() map[string]string {
	pins := map[string]string{}
	add := func(name, digest string) {
		if short, err := contextName(name); err == nil {
			short, _, _ = strings.Cut(short, "@")
			if colon := strings.LastIndexByte(short, ':'); colon > strings.LastIndexByte(short, '/') {
				short = short[:colon]
			}
			pins[short] = digest
		}
	}
	for name, digest := range s.Bases {
		add(name, digest)
	}
	stages := s.stages()
	for i := range reached(stages, s.Target) {
		if i < 0 || i >= len(stages) {
			continue
		}
		if name, digest, ok := strings.Cut(stages[i].BaseName, "@"); ok && !strings.Contains(stages[i].BaseName, "$") {
			add(name, digest)
		}
	}
	return pins
}
