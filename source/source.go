// Package source says what a release is made from: the version, the commit and
// whether the context differs from it, the times that the image carries, and what
// the inputs digest covers. It looks at files and at the git repository, and uses
// no network and no keys.
package source

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/settings"
)

// Source is what an image is made from.
type Source struct {
	buildkit.Source
	Version string // and the image's tag; empty when there is none
	Commit  Commit // of the context
}

// Options say what to read.
type Options struct {
	Settings settings.Settings
	// Getenv looks up the environment: SOURCE_DATE_EPOCH, MRELEASE_VERSION, and what
	// secrets are in.
	Getenv func(string) string
	// Version is the one asked for; empty takes the environment's, else that of
	// the git tag at HEAD.
	Version string
	// Epoch is the time asked for, in seconds since 1970; 0 takes the environment's.
	Epoch int64
	// Lock is the path of the enclave's lock, which is left out of the build.
	Lock string
	// NoCache builds every step anew.
	NoCache bool
	// Keychain holds the credentials for registries; nil means none.
	Keychain authn.Keychain
	// Mask, unless it is nil, is called with each secret before it is used.
	Mask func(secret string)
	// Unread leaves the values of secrets out: the inputs digest does not cover them.
	Unread bool
}

// Read finds the version, the commit and the times, and reads the build's secrets.
// Its error is a [*settings.Error], a [*VersionError], a [*DirtyError], or that of
// git.
func Read(o Options) (Source, error) {
	commit, err := ReadCommit(string(o.Settings.Build.Context))
	if err != nil {
		return Source{}, err
	}
	s := Source{Source: Build(o.Settings), Commit: commit}
	if s.Version, err = o.FindVersion(commit); err != nil {
		return Source{}, err
	}
	times, err := o.FindTimes(commit)
	if err != nil {
		return Source{}, err
	}
	if s.Secrets, err = o.ReadSecrets(); err != nil {
		return Source{}, err
	}
	s.Epoch, s.Created = times.Files, times.Image
	s.Ignore = ignored(o.Lock, s.Context)
	s.NoCache, s.Keychain = o.NoCache, o.Keychain
	s.Purpose = purpose(o.Settings, s.Version)
	return s, nil
}

// CheckVersion returns a [*VersionError] for a source without a version, which cannot
// be released.
func (s Source) CheckVersion() error {
	if s.Version != "" {
		return nil
	}
	return &VersionError{"no version: HEAD has no git tag, and --version is not given", "none"}
}

// A VersionError says why there is no version that can be used.
type VersionError struct {
	Problem string
	Found   string // the version, the tags, or that there is none
}

// Error implements error.
func (e *VersionError) Error() string { return e.Problem }

// Evidence returns what was found.
func (e *VersionError) Evidence() [][2]string {
	return [][2]string{{"expected", "one git tag at HEAD, or --version"}, {"actual", e.Found}}
}

// FindVersion returns the version asked for, else that of the tag at the commit;
// empty when there is none. A version is an image's tag.
func (o Options) FindVersion(c Commit) (string, error) {
	version := cmp.Or(o.Version, o.Getenv("MRELEASE_VERSION"))
	if version == "" && len(c.Tags) > 0 {
		if len(c.Tags) > 1 {
			return "", &VersionError{fmt.Sprintf("several tags at HEAD (%s): choose one with --version", strings.Join(c.Tags, ", ")), "the tags " + strings.Join(c.Tags, ", ")}
		}
		if len(c.Dirty) > 0 {
			return "", &DirtyError{c, c.Tags[0]}
		}
		version = strings.TrimPrefix(c.Tags[0], "v")
	}
	if version == "" {
		return "", nil
	}
	if _, err := name.NewTag("localhost/x:"+version, name.StrictValidation); err != nil {
		return "", &VersionError{fmt.Sprintf("the version %q cannot be an image's tag: use letters, digits, dots, dashes and underscores, at most 128", version), version}
	}
	return version, nil
}

// Times are those that an image carries.
type Times struct {
	Files time.Time // of each file that the build makes
	Image time.Time // of the image's creation
}

// FindTimes returns the time that was asked for, for both. By default the image
// has the commit's time, and files one that is the same for each commit: a layer
// that did not change is then the same in every release.
func (o Options) FindTimes(c Commit) (Times, error) {
	asked, ok, err := o.askedTime()
	switch {
	case err != nil:
		return Times{}, err
	case ok:
		return Times{asked, asked}, nil
	case c.Hash == "":
		return Times{}, problem("flag --source-date-epoch", "", "is needed: the context is in no git repository whose commit gives the time")
	}
	return Times{buildkit.FixedEpoch(), c.Time}, nil
}

func (o Options) askedTime() (asked time.Time, ok bool, err error) {
	where, text := "flag --source-date-epoch", strconv.FormatInt(o.Epoch, 10)
	if o.Epoch == 0 {
		where, text = "environment SOURCE_DATE_EPOCH", o.Getenv("SOURCE_DATE_EPOCH")
	}
	if text == "" {
		return time.Time{}, false, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > buildkit.MaxEpoch {
		return time.Time{}, false, problem(where, "", fmt.Sprintf("want seconds since 1970, at most %d, got %q", buildkit.MaxEpoch, text))
	}
	return time.Unix(seconds, 0).UTC(), true, nil
}

func problem(where, key, text string) error {
	return &settings.Error{Problems: []settings.Problem{{Where: where, Key: key, Text: text}}}
}

// ignored keeps the lock out of the build: an image that held it would change with
// each accept, and with it what the lock says of the image.
func ignored(lock, context string) []string {
	inside, err := filepath.Abs(lock)
	root, rootErr := filepath.Abs(context)
	if lock == "" || err != nil || rootErr != nil {
		return nil // without a working folder the build fails
	}
	path, err := filepath.Rel(root, inside)
	if err != nil || path == ".." || strings.HasPrefix(path, "../") {
		return nil
	}
	return []string{strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(filepath.ToSlash(path))}
}
