package settings

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Repository is a container repository without tag or digest.
type Repository struct{ name.Repository }

// UnmarshalText implements [encoding.TextUnmarshaler]. Its error says what is wrong,
// and what was probably meant.
func (r *Repository) UnmarshalText(text []byte) (err error) {
	meant, wrong := repair(string(text))
	if r.Repository, err = name.NewRepository(string(text)); err == nil && wrong == nil && !isRegistry(meant) {
		return nil
	}
	r.Repository = name.Repository{}
	if isRegistry(meant) {
		return fmt.Errorf("want a repository of the registry, such as %s/acme/hello, got %q", meant, text)
	}
	if _, err := name.NewRepository(meant); err != nil || wrong == nil {
		return fmt.Errorf("want a repository without tag or digest, such as ghcr.io/acme/hello, got %q", text)
	}
	return fmt.Errorf("must %s: %s (got %q)", strings.Join(wrong, " and "), meant, text)
}

// isRegistry reports whether a text of one part names a registry, and would be taken for
// an image of Docker's own.
func isRegistry(text string) bool {
	return !strings.Contains(text, "/") && (text == "localhost" || strings.Contains(text, "."))
}

var (
	scheme  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	hubPage = regexp.MustCompile(`^hub\.docker\.com/(r/|repository/docker/)?`)
	slashes = regexp.MustCompile(`/{2,}`)
	tag     = regexp.MustCompile(`:[^/:]*$`)
)

// repair writes a text as a repository is written, and says what it must be for that.
// The name of the registry stays as it is.
func repair(text string) (meant string, wrong []string) {
	meant = text
	change := func(must, to string) {
		if to != meant {
			meant, wrong = to, append(wrong, must)
		}
	}
	change("be without "+scheme.FindString(text), scheme.ReplaceAllString(meant, ""))
	change("be without slash at its begin or end", strings.Trim(meant, "/"))
	change("be the image's name, not the page about it", hubPage.ReplaceAllString(meant, "docker.io/"))
	change("have no empty part", slashes.ReplaceAllString(meant, "/"))
	before, _, _ := strings.Cut(meant, "@")
	change("be without digest", before)
	if i := strings.LastIndex(meant, "/"); i >= 0 { // before it stands the port
		change("be without tag", meant[:i]+tag.ReplaceAllString(meant[i:], ""))
	} else {
		change("be without tag", tag.ReplaceAllString(meant, ""))
	}
	host, path, hasHost := strings.Cut(meant, "/")
	if !hasHost {
		change("be lower case", strings.ToLower(meant))
	} else {
		change("be lower case", host+"/"+strings.ToLower(path))
	}
	return meant, wrong
}
