package buildkit

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/opencontainers/go-digest"
)

const (
	platform = "linux/amd64"
	// epochArg is the build argument by which BuildKit learns the time stamp.
	epochArg = "SOURCE_DATE_EPOCH"

	// The networks that RUN steps can be given. What NetworkHost reaches is the
	// builder's affair; the embedded one gives them the host's network.
	// NetworkRecorded is NetworkHost through a proxy of the builder, which notes
	// the URL and the SHA-256 of all that a RUN step fetches by HTTP or HTTPS.
	NetworkHost     = "host"
	NetworkNone     = "none"
	NetworkRecorded = "recorded"

	schemeImage  = "docker-image://"
	schemeLayout = "oci-layout://"
)

// FixedEpoch is the time of all that a build makes, unless another is asked for:
// 1980-01-02T00:00:00Z. An archive of type zip can hold no earlier year than
// 1980, in any time zone.
func FixedEpoch() time.Time { return time.Unix(315_619_200, 0).UTC() }

// Source is everything an image is built from, for linux/amd64. Context is
// required.
type Source struct {
	// Context is the folder that COPY and ADD read. Its .dockerignore holds.
	Context string
	// Ignore are more patterns, as in .dockerignore, of what Context is without.
	Ignore []string
	// Dockerfile is a path; empty means the file "Dockerfile" in Context. A
	// file of the same name with ".dockerignore" appended takes the place of
	// the context's .dockerignore.
	Dockerfile string
	// Target is the stage to build; empty means the last one.
	Target string
	// Args are the values of ARG instructions.
	Args map[string]string
	// Contexts are named contexts, as FROM and COPY --from refer to them:
	// "docker-image://REFERENCE", "oci-layout:///FOLDER@sha256:HEX", or the
	// path of a folder.
	Contexts map[string]string
	// Bases pins base images: the reference in FROM, to the digest to use
	// ("sha256:HEX").
	Bases map[string]string
	// Secrets are the values that RUN --mount=type=secret,id=ID asks for.
	Secrets map[string][]byte
	// Epoch is the time of every entry in the layers that the build makes, and
	// what its steps know as SOURCE_DATE_EPOCH, in whole seconds. Zero means
	// FixedEpoch: then a layer is a function of its content alone, and one that
	// did not change is the same in the next release.
	Epoch time.Time
	// Created is when the image was made, as its configuration and history say,
	// in whole seconds. Zero means the epoch.
	Created time.Time
	// Annotations go to the image's manifest.
	Annotations map[string]string
	// MaterialsKey is the annotation of the manifest that lists the build's
	// materials, as FormatMaterials writes them; empty means none.
	MaterialsKey string
	// Purpose is what else the image is made for. It goes into Digest only.
	Purpose map[string]string
	// NoCache builds every step anew.
	NoCache bool
	// Network is that of RUN steps: NetworkHost, also spelt "", NetworkNone or
	// NetworkRecorded.
	Network string
	// Compression is that of new layers: CompressionGzip, also spelt "", or
	// CompressionZstd. The layers of a base stay as they are.
	Compression string
	// Keychain holds the credentials for registries; nil means none.
	Keychain authn.Keychain

	was *inputs // what Read found
}

// path returns the Dockerfile's path.
func (s Source) path() string {
	if s.Dockerfile == "" {
		return filepath.Join(s.Context, "Dockerfile")
	}
	return s.Dockerfile
}

// Validate reports everything that is wrong with the source and can be seen
// without a builder, joined into one error. A missing file is an
// [fs.ErrNotExist].
func (s Source) Validate() error {
	return errors.Join(
		checkFolder("build context", s.Context),
		checkDockerfile(s.path()),
		s.checkEpoch(),
		s.checkArgs(),
		s.checkContexts(),
		s.checkBases(),
		s.checkSecrets(),
		s.checkAnnotations(),
		s.checkNetwork(),
		s.checkCompression(),
	)
}

func checkFolder(what, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("opening %s %q: %w", what, path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("opening %s %q: not a folder", what, path)
	}
	return nil
}

func checkDockerfile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("opening Dockerfile %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("opening Dockerfile %q: not a file", path)
	}
	return nil
}

// epoch returns the time of the layers' entries.
func (s Source) epoch() time.Time {
	if s.Epoch.IsZero() {
		return FixedEpoch()
	}
	return time.Unix(s.Epoch.Unix(), 0).UTC()
}

// created returns the time of the image.
func (s Source) created() time.Time {
	if s.Created.IsZero() {
		return s.epoch()
	}
	return time.Unix(s.Created.Unix(), 0).UTC()
}

// MaxEpoch is the last second that an archive's header can hold (ustar: eleven
// octal digits), in the year 2242.
const MaxEpoch = 1<<33 - 1

func (s Source) checkEpoch() error {
	var problems []error
	for what, t := range map[string]time.Time{"epoch": s.epoch(), "time of creation": s.created()} {
		if t.Unix() < 0 || t.Unix() > MaxEpoch {
			problems = append(problems, fmt.Errorf("checking %s: %d seconds since 1970, want 0 to %d", what, t.Unix(), int64(MaxEpoch)))
		}
	}
	return errors.Join(problems...)
}

func (s Source) checkArgs() error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(s.Args)) {
		switch {
		case key == "" || strings.ContainsAny(key, "= \t\n"):
			problems = append(problems, fmt.Errorf("checking build argument %q: not a name", key))
		case key == epochArg:
			problems = append(problems, fmt.Errorf("checking build argument %q: it is set from the epoch", key))
		}
	}
	return errors.Join(problems...)
}

func (s Source) checkContexts() error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(s.Contexts)) {
		if err := checkContext(key, s.Contexts[key]); err != nil {
			problems = append(problems, fmt.Errorf("checking named context %q: %w", key, err))
		}
	}
	return errors.Join(problems...)
}

func checkContext(key, value string) error {
	if _, err := contextName(key); err != nil {
		return err
	}
	if image, ok := strings.CutPrefix(value, schemeImage); ok {
		_, err := reference.ParseNormalizedNamed(image)
		return err
	}
	if strings.HasPrefix(value, schemeLayout) {
		folder, _, err := parseLayout(value)
		if err != nil {
			return err
		}
		return checkFolder("image layout", folder)
	}
	return checkFolder("folder", value)
}

// parseLayout splits "oci-layout:///FOLDER@DIGEST".
func parseLayout(value string) (folder string, d digest.Digest, err error) {
	rest := strings.TrimPrefix(value, schemeLayout)
	at := strings.LastIndexByte(rest, '@') // a folder may have one in its name
	if d, err = digest.Parse(rest[at+1:]); err != nil {
		return "", "", fmt.Errorf("parsing %q: %w", value, err)
	}
	if folder = rest[:max(at, 0)]; !filepath.IsAbs(folder) {
		return "", "", fmt.Errorf("parsing %q: %q is not an absolute path", value, folder)
	}
	return folder, d, nil
}

func (s Source) checkBases() error {
	var problems []error
	named := map[string]bool{}
	for key := range s.Contexts {
		if name, err := contextName(key); err == nil {
			named[name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Bases)) {
		name, err := contextName(key)
		if err == nil && named[name] {
			err = errors.New("it is a named context too")
		}
		if err == nil {
			_, err = digest.Parse(s.Bases[key])
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("checking base image %q: %w", key, err))
		}
	}
	return errors.Join(problems...)
}

// contextName is the form in which the Dockerfile frontend looks a reference
// up among the named contexts: the shortest name, without the tag "latest".
func contextName(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("parsing image reference %q: %w", ref, err)
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest"), nil
}

// checkSecrets names a secret by its id only.
func (s Source) checkSecrets() error {
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(s.Secrets)) {
		switch {
		case id == "":
			problems = append(problems, errors.New("checking secrets: one has no id"))
		case len(s.Secrets[id]) > secretsprovider.MaxSecretSize:
			problems = append(problems, fmt.Errorf("checking secret %q: longer than %d bytes", id, secretsprovider.MaxSecretSize))
		}
	}
	return errors.Join(problems...)
}

func (s Source) checkAnnotations() error {
	// The key travels inside the name of an attribute of the exporter, whose
	// grammar ends it at white space.
	key := regexp.MustCompile(`^\S+$`)
	var problems []error
	for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
		if !key.MatchString(k) {
			problems = append(problems, fmt.Errorf("checking annotation %q: not a key", k))
		}
	}
	return errors.Join(problems...)
}

func (s Source) checkNetwork() error {
	switch s.Network {
	case "", NetworkHost, NetworkNone, NetworkRecorded:
		return nil
	}
	return fmt.Errorf("checking network %q: want %s, %s or %s", s.Network, NetworkHost, NetworkNone, NetworkRecorded)
}

func (s Source) checkCompression() error {
	switch s.Compression {
	case "", CompressionGzip, CompressionZstd:
		return nil
	}
	return fmt.Errorf("checking compression %q: want %s or %s", s.Compression, CompressionGzip, CompressionZstd)
}
