package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/mod/semver"

	"github.com/mrelease/mrelease/buildkit"
)

// Cache says where a registry keeps steps of builds. Whoever may write there can say what a
// step made.
type Cache struct {
	Repository Repository `yaml:"repository" doc:"repository, without tag, in which a registry keeps what the steps of builds made, so that another machine can take it; nothing is taken or kept when it is not set, and for a release's version unless build.cache.releases allows it"`
	Mode       CacheMode  `yaml:"mode" doc:"what is kept: max (all steps) or min (those whose layers the image has)"`
	ReadOnly   bool       `yaml:"read-only" doc:"take steps, and keep none"`
	Releases   bool       `yaml:"releases" doc:"take steps for versions of releases too: then whoever may write to the repository can decide what is in them"`
	Timeout    Duration   `yaml:"timeout" doc:"time limit for fetching the steps, and one for keeping them; after it the build goes on without"`
}

// CacheMode is how much of a build is kept.
type CacheMode string

func cacheModes() []string { return []string{buildkit.StepsMax, buildkit.StepsMin} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *CacheMode) UnmarshalText(text []byte) error {
	if !slices.Contains(cacheModes(), string(text)) {
		return fmt.Errorf("want one of %s, got %q", strings.Join(cacheModes(), ", "), text)
	}
	*m = CacheMode(text)
	return nil
}

// cacheTag is the tag that is written anew with each build.
const cacheTag = "buildcache"

// IsSet reports whether there is a cache.
func (c Cache) IsSet() bool { return c.Repository.RepositoryStr() != "" }

// Tag is where the steps are.
func (c Cache) Tag() name.Tag { return c.Repository.Tag(cacheTag) }

// Serves reports whether a build of a version may use the cache. One with a part for a
// pre-release, as semver has it (1.2.0-rc.1), is no release's, and neither is a build without
// a version; any other may be one.
func (c Cache) Serves(version string) bool {
	return c.IsSet() && (c.Releases || version == "" || semver.Prerelease("v"+version) != "")
}

// checkCache makes sure that no version of an image can be overwritten, and that what a build
// took from elsewhere is known.
func (c *Checker) checkCache() {
	cache := c.Settings.Build.Cache
	if cache.Timeout <= 0 {
		c.Complain("build.cache.timeout", "must be above 0")
	}
	if !cache.IsSet() {
		return
	}
	if cache.Repository.Name() == c.Settings.Image.Name() {
		c.Complain("build.cache.repository", "must be another one than image, whose tags are versions and are written once: such as %s-cache", c.Settings.Image.Name())
	}
	if c.Settings.Build.Network == buildkit.NetworkRecorded {
		c.Complain("build.cache.repository", "cannot be used with build.network: recorded, since nobody saw what steps of another machine fetched")
	}
}
