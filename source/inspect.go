package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/mrelease/mrelease/bounds"
)

// Kinds of what another checkout of a commit may have otherwise, though git calls the
// files clean.
const (
	FilterUsed    = "GitFilter"      // a filter made the file
	FilterMissing = "GitFilterUnset" // there is no filter to make the file
	Pointer       = "LFSPointer"     // git-lfs has not fetched the file
	LineEnds      = "GitLineEnds"    // a setting of this machine made the file's line ends
	FileMode      = "GitFileMode"    // git does not look at who may execute the file here
	Ignored       = "GitIgnored"     // the commit does not have the file, nor does git name it
	Sparse        = "SparseCheckout" // the file is not checked out
	Submodule     = "SubmoduleUnset" // the submodule is not checked out
	Clash         = "GitCaseClash"   // the name differs from another's in nothing but capitals
)

// Variation is a file that the image can depend on and that another checkout of the
// commit may have otherwise.
type Variation struct {
	Kind string
	File string // relative to the repository's root
	By   string // the filter, the setting, or the other name; empty where there is none
}

// Variations is [Options.ReadCommit] with what another checkout may have otherwise. It
// needs git's program, and returns none without.
func (o Options) Variations(ctx context.Context) ([]Variation, error) {
	o.inspects = &[]Variation{}
	c, err := o.ReadCommit(ctx)
	found := *o.inspects
	for _, file := range c.Sparse {
		found = append(found, Variation{Kind: Sparse, File: file})
	}
	for _, name := range c.Missing {
		found = append(found, Variation{Kind: Submodule, File: name})
	}
	return found, err
}

// inspect looks at the files of the commit that the image can depend on, and at those
// that git ignores.
func (s *status) inspect(ctx context.Context) error {
	if s.options.inspects == nil {
		return nil
	}
	var names []string
	for name, file := range s.files {
		if _, err := os.Lstat(filepath.Join(s.repo.root, name)); err != nil || file.mode == submoduleMode {
			continue
		}
		if seen, err := s.sight.Sees(filepath.Join(s.repo.root, name)); err != nil {
			return err
		} else if seen {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if err := s.inspectFilters(ctx, names); err != nil {
		return err
	}
	if err := s.inspectEnds(ctx, names); err != nil {
		return err
	}
	s.inspectModes(names)
	s.inspectCase(names)
	return s.inspectIgnored(ctx)
}

func (s *status) vary(kind, name, by string) {
	*s.options.inspects = append(*s.options.inspects, Variation{kind, s.prefix + name, by})
}

func (s *status) inspectFilters(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	filters, err := s.attribute(ctx, "filter", names)
	if err != nil {
		return err
	}
	drivers := s.repo.config.drivers()
	for _, name := range names {
		filter := filters[name]
		switch {
		case isPointer(filepath.Join(s.repo.root, name)):
			s.vary(Pointer, name, filter)
		case filter == "unspecified" || filter == "unset" || filter == "set":
		case drivers[filter]:
			s.vary(FilterUsed, name, filter)
		default:
			s.vary(FilterMissing, name, filter)
		}
	}
	return nil
}

// isPointer reports whether a file is what git-lfs puts in place of another.
func isPointer(file string) bool {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxPointer {
		return false
	}
	text, err := bounds.ReadFile(file, maxPointer)
	return err == nil && pointer.Match(text)
}

// inspectEnds finds the line ends that git changed, and that no attribute asks for.
func (s *status) inspectEnds(ctx context.Context, names []string) error {
	lines, err := s.repo.shadow.fields(ctx, nil, "ls-files", "--eol", "-z")
	if err != nil {
		return err
	}
	by := "core.autocrlf = " + s.repo.config["core.autocrlf"]
	if eol := s.repo.config["core.eol"]; eol != "" && !s.repo.config.isTrue("core.autocrlf") {
		by = "core.eol = " + eol
	}
	for _, line := range lines { // i/lf w/crlf attr/text=auto <tab> name
		ends, name, _ := strings.Cut(line, "\t")
		parts := strings.Fields(ends)
		if len(parts) < 2 || strings.TrimPrefix(parts[0], "i/") == strings.TrimPrefix(parts[1], "w/") || strings.Contains(ends, "eol=") {
			continue
		}
		if _, found := slices.BinarySearch(names, name); found && parts[1] == "w/crlf" {
			s.vary(LineEnds, name, by)
		}
	}
	return nil
}

// inspectModes finds files whose executable bit is not the commit's, where git does not
// look at it.
func (s *status) inspectModes(names []string) {
	if value, ok := s.repo.config["core.filemode"]; !ok || (values{"": value}).isTrue("") {
		return
	}
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(s.repo.root, name))
		if err == nil && info.Mode().IsRegular() && (info.Mode()&0o100 != 0) != (s.files[name].mode == "100755") {
			s.vary(FileMode, name, "core.fileMode = false")
		}
	}
}

// inspectCase finds files and folders of which macOS and Windows, whose file systems do
// not tell capitals from other letters, have one in the place of two.
func (s *status) inspectCase(names []string) {
	spelled := map[string]string{}
	for _, name := range names {
		for at := range len(name) + 1 {
			if at < len(name) && name[at] != '/' {
				continue
			}
			part := name[:at]
			if other, ok := spelled[strings.ToLower(part)]; ok && other != part {
				s.vary(Clash, part, s.prefix+other)
				break
			}
			spelled[strings.ToLower(part)] = part
		}
	}
}

// inspectIgnored finds files that git ignores.
func (s *status) inspectIgnored(ctx context.Context) error {
	places := s.places()
	if len(places) == 0 {
		return nil
	}
	files, err := s.repo.shadow.fields(ctx, nil, slices.Concat([]string{"ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--"}, places)...)
	if err != nil {
		return err
	}
	var seen []string
	for _, name := range files {
		if err := s.note(name, &seen); err != nil {
			return err
		}
	}
	for _, name := range seen {
		*s.options.inspects = append(*s.options.inspects, Variation{Kind: Ignored, File: name})
	}
	return nil
}

// Tracked returns those of files and folders that a git repository has, or has a part
// of: each the repository that it lies in.
func (o Options) Tracked(ctx context.Context, files []string) ([]string, error) {
	var found []string
	for _, file := range files {
		tracked, err := o.isTracked(ctx, file)
		if err != nil {
			return nil, err
		}
		if tracked {
			found = append(found, file)
		}
	}
	return found, nil
}

func (o Options) isTracked(ctx context.Context, file string) (bool, error) {
	place := o.place(file)
	_, names, err := o.indexed(ctx, filepath.Dir(place), place)
	return len(names) > 0, err
}

// TrackedFiles returns the files of the repository that a folder lies in, as paths that
// lead there from the working directory.
func (o Options) TrackedFiles(ctx context.Context, dir string) ([]string, error) {
	place := o.place(filepath.Join(dir, "x"))
	root, names, err := o.indexed(ctx, filepath.Dir(place), "")
	if err != nil || root == "" {
		return nil, err
	}
	top, err := filepath.Rel(filepath.Dir(place), root)
	if err != nil {
		return nil, fmt.Errorf("finding repository: %w", err)
	}
	for i, name := range names {
		names[i] = filepath.Join(dir, top, name)
	}
	return names, nil
}

// indexed lists what the index of the repository that a folder lies in has of a file or
// folder, or with an empty place of all.
func (o Options) indexed(ctx context.Context, dir, place string) (root string, names []string, err error) {
	if root = rootOf(dir); root == "" {
		return "", nil, nil
	}
	git := findGit(o.Getenv)
	if git == "" {
		names, err = readIndex(root, place)
		return root, names, err
	}
	err = o.withRepository(ctx, git, dir, func(r *repository) error {
		root = r.root
		name, err := filepath.Rel(r.root, cmp.Or(place, r.root))
		if err != nil {
			return err
		}
		names, err = r.own().fields(ctx, nil, "ls-files", "-z", "--", name)
		return err
	})
	if errors.Is(err, errNone) {
		return "", nil, nil
	}
	return root, names, err
}

// readIndex is indexed without git's program.
func readIndex(root, place string) (names []string, err error) {
	if err := checkFiles(root); err != nil {
		return nil, err
	}
	all, err := filesystem.NewStorage(osfs.New(filepath.Join(root, ".git")), cache.NewObjectLRUDefault()).Index()
	if err != nil {
		return nil, needsGit(root, err.Error())
	}
	name, err := filepath.Rel(root, cmp.Or(place, root))
	for _, e := range all.Entries {
		if name == "." || e.Name == name || strings.HasPrefix(e.Name, name+"/") {
			names = append(names, e.Name)
		}
	}
	return names, err
}
