package buildkit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// taken is a file that an instruction takes from the build context.
type taken struct {
	instruction string // COPY, ADD or RUN --mount
	path        string // as it is written
	at          []parser.Range
}

// takenBy lists what the instructions of a stage take from the context, as far as that
// is written out: a variable can name anything.
func takenBy(stage instructions.Stage) []taken {
	var all []taken
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.CopyCommand:
			if c.From == "" {
				all = append(all, named("COPY", c.SourcePaths, c.Location())...)
			}
		case *instructions.AddCommand:
			all = append(all, named("ADD", c.SourcePaths, c.Location())...)
		case *instructions.RunCommand:
			for _, m := range mounts(c) {
				if m.Type == instructions.MountTypeBind && m.From == "" {
					all = append(all, named("RUN --mount", []string{m.Source}, c.Location())...)
				}
			}
		}
	}
	return all
}

// mounts returns those of a RUN, with their variables as they are written.
func mounts(c *instructions.RunCommand) []*instructions.Mount {
	if err := c.Expand(func(word string) (string, error) { return word, nil }); err != nil {
		return nil // the build tells it
	}
	return instructions.GetMounts(c)
}

func named(instruction string, paths []string, at []parser.Range) []taken {
	var all []taken
	for _, p := range paths {
		if p != "" && !strings.ContainsAny(p, `$\`) && !strings.Contains(p, "://") && !strings.HasPrefix(p, "git@") {
			all = append(all, taken{instruction, p, at})
		}
	}
	return all
}

// clean is the path in the context; "." is the context itself.
func (t taken) clean() string { return path.Join(".", path.Clean("/"+t.path)) }

// sentModes are the types of what is sent to the builder, by path.
type sentModes map[string]fs.FileMode

// listSent lists what a build would send of the context, without reading it.
func (s Source) listSent(ctx context.Context) (sentModes, error) {
	_, sent, err := filtered(s.Context, s.IgnoreFile(), s.Ignore)
	if err != nil {
		return nil, err
	}
	all := sentModes{}
	err = sent.Walk(ctx, "/", func(path string, found fs.DirEntry, err error) error {
		if err == nil {
			all[filepath.ToSlash(path)] = found.Type()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", s.Context, err)
	}
	return all, nil
}

func (t tree) modes() sentModes {
	all := sentModes{}
	for path, e := range t.entries {
		all[path] = fs.FileMode(e.stat.Mode).Type()
	}
	return all
}

// has reports whether a path, or something that a wildcard means, is there. What is
// behind a link is not known here, and counts as there.
func (m sentModes) has(name string) bool {
	if name == "." {
		return true
	}
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		if mode, ok := m[folder]; ok && mode == fs.ModeSymlink {
			return true
		}
	}
	if _, ok := m[name]; ok || !isWildcard(name) {
		return ok
	}
	for there := range m {
		if matches, err := path.Match(name, there); err != nil || matches {
			return true
		}
	}
	return false
}

func isWildcard(name string) bool { return strings.ContainsAny(name, "*?[") }

// holds reports whether the context has a file, sent or not.
func (s Source) holds(name string) bool {
	_, err := os.Lstat(filepath.Join(s.Context, filepath.FromSlash(name)))
	return err == nil || isWildcard(name)
}

// why says why a file of the context is not sent.
func (s Source) why(name string) (text, cure string) {
	if isWildcard(name) {
		return "nothing in the build context has such a name, or all of it is left out by " + s.IgnoreFile(), "correct the name, or add a line with ! and the name to the ignore file"
	}
	if !s.holds(name) {
		return "there is no such file in the build context " + s.Context, "add the file, or correct its name"
	}
	if info, err := os.Lstat(filepath.Join(s.Context, filepath.FromSlash(name))); err == nil && info.Mode().Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		return "it is a named pipe, a socket or a device, which no build takes", "put a file in its place"
	}
	rules, err := readIgnore(s.IgnoreFile())
	if err != nil {
		return err.Error(), "correct the ignore file"
	}
	if line := rules.leavingOut(name); line.number != 0 {
		return fmt.Sprintf("%s:%d (%s) leaves it out", rules.file, line.number, line.pattern),
			fmt.Sprintf("add the line !%s to %s, below that one", name, rules.file)
	}
	return "it is left out of every build", "give it another name"
}

// lintTaken finds what a COPY, an ADD or a mount asks for and a build does not send. A
// build fails there, unless it is a wildcard, or in a stage that is not built.
func (s Source) lintTaken(ctx context.Context, rules *linter.Linter, stages []instructions.Stage) error {
	built := reached(stages, s.Target)
	sent, err := s.listSent(ctx)
	if err != nil {
		return err
	}
	for i, stage := range stages {
		for _, t := range takenBy(stage) {
			if sent.has(t.clean()) || !s.holds(t.clean()) { // a file that is not there may be made before the build
				continue
			}
			text, cure := s.why(t.clean())
			name := ignoredFile
			if !built[i] || isWildcard(t.path) {
				name = linter.RuleCopyIgnoredFile.Name
			}
			rules.Run(&linter.LinterRule[func() string]{Name: name, Description: cure}, t.at, t.instruction+" "+t.path+": "+text)
		}
	}
	return nil
}

// reached tells which stages a build of a target builds.
func reached(stages []instructions.Stage, target string) map[int]bool {
	last := len(stages) - 1
	if i, ok := stageOf(stages, target); ok {
		last = i
	}
	built, todo := map[int]bool{}, []int{last}
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		if built[i] {
			continue
		}
		built[i] = true
		for _, name := range usedBy(stages[i]) {
			if other, ok := stageOf(stages, name); ok {
				todo = append(todo, other)
			}
		}
	}
	return built
}

// usedBy lists the names of stages that a stage is made from.
func usedBy(stage instructions.Stage) []string {
	names := []string{stage.BaseName}
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.CopyCommand:
			names = append(names, c.From)
		case *instructions.RunCommand:
			for _, m := range instructions.GetMounts(c) {
				names = append(names, m.From)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// stageOf finds a stage by its name, or its number.
func stageOf(stages []instructions.Stage, name string) (int, bool) {
	if i, ok := instructions.HasStage(stages, name); ok && name != "" {
		return i, true
	}
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < len(stages)
}
