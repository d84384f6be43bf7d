// Package source says what a release is made from: the version, the commit and
// whether the context differs from it, the times that the image carries, and what
// the inputs digest covers. It looks at files and at the git repository, and uses
// no network and no keys.
package source

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/settings"
)

// Source is what an image is made from.
type Source struct {
	buildkit.Source
	Version string // and the image's tag; empty when there is none
	Commit  Commit // of the context
	// Asked is the version as it was asked for, or the tag, where that is another
	// spelling of Version.
	Asked string
	// AllowDirty lets a source be released that is not its commit, or of none.
	AllowDirty bool

	options *Options // by which the commit was read
}

// Options say what to read.
type Options struct {
	Settings settings.Settings
	// Getenv looks up the environment: SOURCE_DATE_EPOCH, MRELEASE_VERSION,
	// MRELEASE_COMMIT, what secrets are in, and for git PATH, HOME and where the
	// user's configuration is.
	Getenv func(string) string
	// Version is the one asked for; empty takes the environment's, else that of
	// the git tag at HEAD.
	Version string
	// Epoch is the time asked for, in seconds since 1970; empty takes the environment's.
	Epoch string
	// Commit is the one that the source is of, where no repository says so; empty takes
	// the environment's MRELEASE_COMMIT.
	Commit string
	// AllowDirty lets a source be released that is not its commit, or of none.
	AllowDirty bool
	// Release tells that the source is to be released: of one without a time, all else
	// that a release lacks is told too.
	Release bool
	// inspects, unless it is nil, takes what another checkout may have otherwise.
	inspects *[]Variation
	// Files are those that the settings were read from.
	Files []string
	// Lock is the path of the enclave's lock, which is left out of the build; Locks are
	// those of other apps, which are too.
	Lock  string
	Locks []string
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
// Its error is a [*settings.Error], a [*VersionError], a [*StateError] or a [*GitError].
func Read(ctx context.Context, o Options) (Source, error) {
	commit, err := o.FindCommit(ctx)
	if err != nil {
		return Source{}, err
	}
	s := Source{Source: o.build(), Commit: commit, AllowDirty: o.AllowDirty, options: &o}
	if s.Version, err = o.FindVersion(commit); err != nil {
		return Source{}, err
	}
	s.Asked = o.asked(commit)
	times, err := o.FindTimes(commit)
	if err != nil {
		return Source{}, err
	}
	if s.Secrets, err = o.ReadSecrets(); err != nil {
		return Source{}, err
	}
	s.Epoch, s.Created = times.Files, times.Image
	s.NoCache, s.Keychain = o.NoCache, o.Keychain
	s.Purpose = purpose(o.Settings, s.Version)
	return s, nil
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
	asked, ok, err := o.AskedTime()
	switch {
	case err != nil:
		return Times{}, err
	case ok:
		return Times{asked, asked}, nil
	case c.Time.IsZero():
		return Times{}, &StateError{Commit: c, Lacks: lacks(o.Release && o.requested() == "" && len(c.Tags) == 0, true, o.Release && c.Hash == "" && !o.AllowDirty)}
	}
	return Times{buildkit.FixedEpoch(), c.Time}, nil
}

// AskedTime returns the time that was asked for by flag or environment, and whether one
// was. Its error is a [*settings.Error].
func (o Options) AskedTime() (asked time.Time, given bool, err error) {
	where, text := "flag --source-date-epoch", o.Epoch
	if text == "" {
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
