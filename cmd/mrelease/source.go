package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
)

// buildFlags are the flags of the commands that build.
type buildFlags struct {
	context, image, chain string
	builder, state        string
	version               string
	epoch                 int64
	progress              string
	noCache               bool
}

func (a *app) addBuildFlags(c *cobra.Command) {
	a.configFlag(c)
	f := c.Flags()
	f.StringVar(&a.build.context, "context", "", "folder to build (overrides build.context)")
	f.StringVar(&a.build.version, "version", "", "version of the release (default: the git tag at HEAD)")
	f.Int64Var(&a.build.epoch, "source-date-epoch", 0, "seconds since 1970 that the image and its files carry (default: $SOURCE_DATE_EPOCH, else the commit's time for the image, and for all files one time that never changes)")
	f.BoolVar(&a.build.noCache, "no-cache", false, "build every step anew")
	a.addBuilderFlags(c)
}

// targetFlags say what is released to where.
func (a *app) targetFlags(c *cobra.Command) {
	c.Flags().StringVar(&a.build.image, "image", "", "repository to push to (overrides image)")
	c.Flags().StringVar(&a.build.chain, "chain", "", "chain to register on (overrides chain)")
}

func (a *app) addBuilderFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.build.builder, "builder", a.getenv("MRELEASE_BUILDER"), "embedded, docker, or the address of a buildkitd (default: $BUILDKIT_HOST, else embedded, else docker)")
	f.StringVar(&a.build.state, "state", a.getenv("MRELEASE_STATE"), "folder of the embedded builder's cache (default: mrelease in the user's cache folder)")
	f.StringVar(&a.build.progress, "progress", "auto", "show the build as: auto, plain, tty, quiet")
}

// overrides returns the configuration keys that flags set.
func (a *app) overrides() map[string]string {
	set := map[string]string{}
	for key, value := range map[string]string{"build.context": a.build.context, "image": a.build.image, "chain": a.build.chain} {
		if value != "" {
			set[key] = value
		}
	}
	return set
}

func (a *app) load(need purpose) (config, error) {
	return load(sources{Files: a.configFiles(), Getenv: a.getenv, Flags: a.overrides()}, need)
}

// source is what an image is made from.
type source struct {
	buildkit.Source
	Version string
	Commit  commit
}

// readSource finds the version, the commit and the epoch, and reads the build's
// secrets.
func (a *app) readSource(cfg config) (source, error) {
	c, err := readCommit(string(cfg.Build.Context))
	if err != nil {
		return source{}, err
	}
	if _, err := a.readLock(); err != nil {
		return source{}, err // found broken before the build rather than after it
	}
	s := source{Commit: c}
	if s.Version, err = a.releaseVersion(c); err != nil {
		return source{}, err
	}
	when, err := a.times(c)
	if err != nil {
		return source{}, err
	}
	secrets, err := a.secrets(cfg)
	if err != nil {
		return source{}, err
	}
	s.Source = cfg.source()
	s.Ignore = a.ignoredLock(s.Context)
	s.Secrets, s.Epoch, s.Created = secrets, when.files, when.image
	s.NoCache, s.Keychain = a.build.noCache, authn.DefaultKeychain
	s.Purpose = cfg.purpose(s.Version)
	return s, nil
}

// source is what the configuration alone says of the build.
func (c config) source() buildkit.Source {
	return buildkit.Source{
		Context:    string(c.Build.Context),
		Dockerfile: c.dockerfile(),
		Target:     c.Build.Target,
		Args:       c.Build.Args,
		Contexts:   c.Build.Contexts,
		Bases:      c.bases(),
		Network:    string(c.Build.Network),

		MaterialsKey: registry.MaterialsAnnotation,
	}
}

// purpose is what the inputs digest covers besides the build itself.
func (c config) purpose(version string) map[string]string {
	p := map[string]string{"version": version, "enclave.format": string(c.Enclave.Format), "enclave.fingerprint-file": c.Enclave.File}
	if c.Enclave.Format == measure.JSON {
		p["enclave.object"] = c.Enclave.object().String()
	}
	return merge(p, c.Enclave.sealPurpose())
}

func (c config) bases() map[string]string {
	bases := map[string]string{}
	for ref, digest := range c.Build.Bases {
		bases[ref] = string(digest)
	}
	return bases
}

// dirtyError refuses a release whose version names a commit that it is not.
type dirtyError struct {
	Commit commit
	Tag    string
}

func (e *dirtyError) Error() string {
	return fmt.Sprintf("the source differs from the tag %s", e.Tag)
}

// Evidence returns the files that differ.
func (e *dirtyError) Evidence() [][2]string {
	files := e.Commit.Dirty
	more := ""
	if len(files) > 10 {
		more = fmt.Sprintf("\nand %d more", len(files)-10)
		files = files[:10]
	}
	return [][2]string{{"tag", e.Tag}, {"commit", e.Commit.Hash}, {"changed", strings.Join(files, "\n") + more}}
}

// releaseVersion returns the version asked for, else that of the tag at HEAD;
// empty when there is none. A version is an image's tag.
func (a *app) releaseVersion(c commit) (string, error) {
	version := or(a.build.version, a.getenv("MRELEASE_VERSION"))
	version = or(version, a.getenv("INPUT_VERSION"))
	if version == "" && len(c.Tags) > 0 {
		if len(c.Tags) > 1 {
			return "", &usageError{fmt.Errorf("several tags at HEAD (%s): choose one with --version", strings.Join(c.Tags, ", ")), "mrelease"}
		}
		if len(c.Dirty) > 0 {
			return "", &dirtyError{c, c.Tags[0]}
		}
		version = strings.TrimPrefix(c.Tags[0], "v")
	}
	if version == "" {
		return "", nil
	}
	if _, err := name.NewTag("localhost/x:"+version, name.StrictValidation); err != nil {
		return "", &usageError{fmt.Errorf("the version %q cannot be an image's tag: use letters, digits, dots, dashes and underscores, at most 128", version), "mrelease"}
	}
	return version, nil
}

// times are those that an image carries.
type times struct {
	files time.Time // of each file that the build makes
	image time.Time // of the image's creation
}

// times are what was asked for, for both. By default the image has the commit's
// time, and files one that is the same for each commit: a layer that did not
// change is then the same in every release.
func (a *app) times(c commit) (times, error) {
	asked, ok, err := a.epoch()
	switch {
	case err != nil:
		return times{}, err
	case ok:
		return times{asked, asked}, nil
	case c.Hash == "":
		return times{}, &configError{[]problem{{"flag --source-date-epoch", "", "is needed: the context is in no git repository whose commit gives the time"}}}
	}
	return times{buildkit.FixedEpoch(), c.Time}, nil
}

// epoch is the time that the flag or the environment asks for.
func (a *app) epoch() (asked time.Time, ok bool, err error) {
	if a.build.epoch != 0 {
		return time.Unix(a.build.epoch, 0).UTC(), true, nil
	}
	text := a.getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, false, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, false, &configError{[]problem{{"environment SOURCE_DATE_EPOCH", "", fmt.Sprintf("want seconds since 1970, got %q", text)}}}
	}
	return time.Unix(seconds, 0).UTC(), true, nil
}

// secrets reads the values of the build's secrets and has them masked.
func (a *app) secrets(cfg config) (map[string][]byte, error) {
	values := map[string][]byte{}
	var problems []problem
	for id, s := range cfg.Build.Secrets {
		value := []byte(a.getenv(s.Env))
		if s.File != "" {
			var err error
			if value, err = os.ReadFile(string(s.File)); err != nil {
				problems = append(problems, problem{"build.secrets." + id, "file", readProblem(err)})
			}
		} else if len(value) == 0 {
			problems = append(problems, problem{"build.secrets." + id, "env", s.Env + " is not set"})
		}
		if len(value) > 0 {
			a.story.ci.mask(string(value))
		}
		values[id] = value
	}
	if len(problems) > 0 {
		return nil, &configError{problems}
	}
	return values, nil
}
