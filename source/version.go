package source

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// A VersionError says why there is no version that can be used.
type VersionError struct {
	Problem string
	Want    string
	Found   string // the version, the tags, or that there is none
	Next    string // the command that helps
}

// Error implements error.
func (e *VersionError) Error() string { return e.Problem }

// Evidence returns what was found.
func (e *VersionError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Found}}
}

// Remedy is the command that helps.
func (e *VersionError) Remedy() string { return e.Next }

// FindVersion returns the version asked for, else that of the tag at the commit;
// empty when there is none. A version is an image's tag, and has one form: the v of
// v1.0.0 is not part of it.
func (o Options) FindVersion(c Commit) (string, error) {
	asked := o.requested()
	if asked == "" && len(c.Tags) > 1 {
		tags := strings.Join(c.Tags, ", ")
		return "", &VersionError{fmt.Sprintf("several tags at HEAD (%s): choose one with --version", tags), "one git tag at HEAD, or --version", "the tags " + tags, withVersion(withoutV(c.Tags[len(c.Tags)-1]))}
	}
	if asked == "" && len(c.Tags) == 1 {
		asked = c.Tags[0]
	}
	if asked == "" {
		return "", nil
	}
	version := withoutV(asked)
	if err := checkVersion(version); err != nil {
		return "", err
	}
	return version, nil
}

func checkVersion(version string) error {
	if _, err := name.NewTag("localhost/x:"+version, name.StrictValidation); err != nil {
		return &VersionError{fmt.Sprintf("the version %q cannot be an image's tag: use letters, digits, dots, dashes and underscores, at most 128", version), "an image's tag", version, withVersion(proposal(version))}
	}
	if fallback.MatchString(version) {
		return &VersionError{fmt.Sprintf("%q is a tag under which registries list what belongs to an image of that digest", version), "a version's own name", version, withVersion("1.0.0") + " (or whichever version it is)"}
	}
	if moves(version) {
		return &VersionError{fmt.Sprintf("%q is a name that moves from release to release, and a version is written once", version), "a version's own name", version, withVersion("1.0.0") + " (or whichever version it is)"}
	}
	if broken.MatchString(version) {
		return &VersionError{fmt.Sprintf("the version %q is not whole", version), "a version that begins and ends with a letter or digit, without a v before its number", version, withVersion(proposal(version))}
	}
	return nil
}

// fallback matches the tags that OCI's distribution specification and cosign derive from
// the digest of an image, for its referrers, signatures and attestations.
var fallback = regexp.MustCompile(`^sha(256|512)-[0-9a-fA-F]{64}`)

// broken matches what is left of a version when a part of it was empty, as in
// 1.0.0-$SUFFIX, and a v that was written twice.
var broken = regexp.MustCompile(`^[._-]|[._-]$|\.\.|^[vV]+([0-9]|$)`)

// withVersion says how another version is given, to whichever command.
func withVersion(version string) string { return "the same command with --version " + version }

// requested is the version asked for.
func (o Options) requested() string { return cmp.Or(o.Version, o.Getenv("MRELEASE_VERSION")) }

// asked is the version before its v was cut; empty when there was none to cut.
func (o Options) asked(c Commit) string {
	asked := o.requested()
	if asked == "" && len(c.Tags) == 1 {
		asked = c.Tags[0]
	}
	if withoutV(asked) == asked {
		return ""
	}
	return asked
}

// numbered matches a version with a v before its number.
var numbered = regexp.MustCompile(`^[vV][0-9]`)

func withoutV(version string) string {
	if numbered.MatchString(version) {
		return version[1:]
	}
	return version
}

// moves reports whether a name is one that registries and people use for whatever is
// newest, or deployed, or on a branch.
func moves(version string) bool {
	return slices.Contains([]string{
		"alpha", "beta", "gamma", "rc", "pre", "preview", "ga", "version", "unstable", "experimental", "new",
		"latest", "newest", "current", "head", "tip", "stable", "lts", "edge", "nightly", "canary", "rolling", "next", "snapshot",
		"main", "master", "trunk", "develop", "devel", "dev", "testing", "test", "staging", "stage", "production", "prod", "release",
	}, strings.ToLower(version))
}

// proposal is a version that can be used, as near as possible to one that cannot.
func proposal(version string) string {
	other := strings.TrimPrefix(version, "refs/tags/") // as CI systems call a tag
	other = regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(other, "-")
	other = strings.Trim(strings.TrimLeft(regexp.MustCompile(`\.\.+`).ReplaceAllString(other, "."), "vV"), "._-")
	if other = other[:min(len(other), 128)]; other == "" {
		return "1.0.0"
	}
	return other
}
