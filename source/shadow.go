package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// repository is a work tree and what git's program is asked about it with.
//
// A repository's configuration can name programs in many places: fsmonitor, filters,
// diff drivers, transports, hooks, and what the next git adds. So git never works with
// it. It works in a shadow: a folder of our own that has the repository's objects, and
// of its configuration what is on a list. The repository itself is asked only where it
// is, what its configuration says, and what its references are; none of the three runs
// a program, whatever it says. That is why git's check of who owns the repository
// ("dubious ownership"), which protects from its configuration, is not needed.
type repository struct {
	root   string  // of the work tree, absolute, without links
	folder string  // .git, or what stands for it
	common string  // where the objects and the references are
	config values  // what its configuration says
	itself program // asked where the repository is
	shadow program // asked everything else
	place  string  // the shadow's folder
}

// values are those of a configuration, by key; section and name are lower-case.
type values map[string]string

// listed are the keys that say how files are compared. None names a program.
func listed() []string {
	return []string{
		"core.autocrlf", "core.eol", "core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode",
		"core.checkroundtripencoding", "core.trustctime", "core.checkstat",
	}
}

// errNone says that a folder lies in no repository, whatever is called .git there.
var errNone = errors.New("there is no git repository")

// openRepository finds the repository that dir lies in. The shadow is made in scratch,
// which must be empty and the caller's own.
func (o Options) openRepository(ctx context.Context, git, dir, scratch string) (*repository, error) {
	// As the machine's own configuration: it says that the repository may be anybody's.
	if err := os.WriteFile(filepath.Join(scratch, ".gitconfig"), []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		return nil, fmt.Errorf("preparing git's folder: %w", err)
	}
	r := &repository{itself: program{path: git, dir: dir, env: quiet(scratch)}}
	for _, ask := range []struct {
		to   *string
		what string
	}{{&r.root, "--show-toplevel"}, {&r.folder, "--absolute-git-dir"}, {&r.common, "--git-common-dir"}} {
		answer, err := r.itself.line(ctx, "rev-parse", ask.what)
		var g *GitError
		if errors.As(err, &g) && strings.HasPrefix(g.Problem, "not a git repository (or any") {
			return nil, errNone
		}
		if err != nil {
			return nil, err
		}
		if !filepath.IsAbs(answer) {
			answer = filepath.Join(dir, answer)
		}
		*ask.to = answer
	}
	if err := r.readSettings(ctx, o.Getenv); err != nil {
		return nil, err
	}
	return r, r.makeShadow(scratch)
}

// readSettings reads the configuration as git does for the user: the machine's, the
// user's and the repository's, with all that they include.
func (r *repository) readSettings(ctx context.Context, getenv func(string) string) error {
	p := r.itself
	p.env = slices.DeleteFunc(slices.Clone(p.env), func(pair string) bool {
		return strings.HasPrefix(pair, "HOME=") || strings.HasPrefix(pair, "XDG_") || strings.HasPrefix(pair, "GIT_CONFIG_NOSYSTEM=")
	})
	p.env = append(p.env, "GIT_DIR="+r.folder)
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"} {
		if value := getenv(name); value != "" {
			p.env = append(p.env, name+"="+value)
		}
	}
	pairs, err := p.fields(ctx, nil, "config", "--list", "-z")
	if err != nil {
		return err
	}
	r.config = values{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "\n")
		if !ok {
			value = "true" // a key alone
		}
		r.config[key] = value
	}
	for key, name := range map[string]string{"core.excludesfile": "ignore", "core.attributesfile": "attributes"} {
		r.config[key] = userFile(r.config[key], name, getenv)
	}
	return nil
}

// userFile is the path of a file of the user's, for git in another home.
func userFile(path, standard string, getenv func(string) string) string {
	home, config := getenv("HOME"), getenv("XDG_CONFIG_HOME")
	switch {
	case strings.HasPrefix(path, "~/"):
		return filepath.Join(home, path[2:])
	case path != "":
		return path
	case config != "":
		return filepath.Join(config, "git", standard)
	case home != "":
		return filepath.Join(home, ".config", "git", standard)
	}
	return ""
}

// isTrue reads a truth value as git does.
func (v values) isTrue(key string) bool {
	return slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(v[key]))
}

// makeShadow makes the folder that git takes for the repository.
func (r *repository) makeShadow(scratch string) error {
	folder := filepath.Join(scratch, "shadow")
	err := errors.Join(os.MkdirAll(filepath.Join(folder, "refs"), 0o700), os.MkdirAll(filepath.Join(folder, "info"), 0o700))
	config := "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
	if format := r.config["extensions.objectformat"]; format == "sha256" {
		config += "[extensions]\n\tobjectformat = sha256\n"
	} else if format != "" && format != "sha1" {
		return &GitError{Where: r.root, Problem: "its objects have names of kind " + format}
	}
	err = errors.Join(err,
		os.WriteFile(filepath.Join(folder, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(folder, "HEAD"), []byte("ref: refs/heads/none\n"), 0o600),
		os.Symlink(filepath.Join(r.common, "objects"), filepath.Join(folder, "objects")))
	for _, name := range []string{"info/exclude", "info/attributes"} {
		err = errors.Join(err, link(filepath.Join(r.common, name), filepath.Join(folder, name)))
	}
	err = errors.Join(err, link(filepath.Join(r.folder, "info/sparse-checkout"), filepath.Join(folder, "info/sparse-checkout")))
	shared, _ := filepath.Glob(filepath.Join(r.folder, "sharedindex.*")) // its error is that of a pattern
	for _, part := range shared {
		err = errors.Join(err, link(part, filepath.Join(folder, filepath.Base(part))))
	}
	if err != nil {
		return fmt.Errorf("preparing git's folder: %w", err)
	}
	r.place = folder
	r.shadow = program{path: r.itself.path, dir: r.root, env: append(slices.Clone(r.itself.env), "GIT_DIR="+folder, "GIT_WORK_TREE="+r.root)}
	for _, key := range append(listed(), "core.excludesfile", "core.attributesfile") {
		if value := r.config[key]; value != "" {
			r.shadow.extra = append(r.shadow.extra, "-c", key+"="+value)
		}
	}
	return nil
}

// link makes a link to a file that may be missing.
func link(to, at string) error {
	if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Symlink(to, at)
}

// own is the shadow, asked about the index that the user's git keeps: what it left out
// of the work tree, and how files looked when it wrote them.
func (r *repository) own() program {
	p := r.shadow
	p.env = append(slices.Clone(p.env), "GIT_INDEX_FILE="+filepath.Join(r.folder, "index"))
	for _, key := range []string{"core.sparsecheckout", "core.sparsecheckoutcone"} {
		if value, ok := r.config[key]; ok {
			p.extra = append(slices.Clone(p.extra), "-c", key+"="+value)
		}
	}
	return p
}

// head returns the name of the commit that is checked out; empty when there is none yet.
func (r *repository) head(ctx context.Context) (string, error) {
	name, err := r.itself.line(ctx, "rev-parse", "--verify", "HEAD")
	var g *GitError
	if errors.As(err, &g) && strings.Contains(g.Problem, "Needed a single revision") {
		return "", nil
	}
	return name, err
}
