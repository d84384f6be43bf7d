package settings

import (
	"strings"
	"testing"
)

func TestRepositoriesThatWereMeant(t *testing.T) {
	for text, want := range map[string]string{
		"https://ghcr.io/acme/hello":                  "must be without https://: ghcr.io/acme/hello (",
		"docker://ghcr.io/acme/hello:1":               "must be without docker:// and be without tag: ghcr.io/acme/hello (",
		"/hello":                                      "must be without slash at its begin or end: hello (",
		"/Hello":                                      "must be without slash at its begin or end and be lower case: hello (",
		"ghcr.io//hello":                              "must have no empty part: ghcr.io/hello (",
		"ghcr.io/acme/hello/":                         "must be without slash at its begin or end: ghcr.io/acme/hello (",
		"ghcr.io/Acme/Hello":                          "must be lower case: ghcr.io/acme/hello (",
		"Hello":                                       "must be lower case: hello (",
		"ghcr.io/acme/hello:1.0.0":                    "must be without tag: ghcr.io/acme/hello (",
		"localhost:5000/hello:latest":                 "must be without tag: localhost:5000/hello (",
		"acme/hello@sha256:12":                        "must be without digest: acme/hello (",
		"acme/hello:1@sha256:12":                      "must be without digest and be without tag: acme/hello (",
		"https://hub.docker.com/r/acme/hello":         "must be without https:// and be the image's name, not the page about it: docker.io/acme/hello (",
		"hub.docker.com/repository/docker/acme/hello": "must be the image's name, not the page about it: docker.io/acme/hello (",
		"hub.docker.com/acme/hello":                   "must be the image's name, not the page about it: docker.io/acme/hello (",
		"ghcr.io":                                     "want a repository of the registry, such as ghcr.io/acme/hello",
		"https://localhost/":                          "want a repository of the registry, such as localhost/acme/hello",
		"localhost:5000":                              "want a repository of the registry",
		"https://":                                    "want a repository",
		"ghcr.io/acme/hel lo":                         "want a repository",
		"ghcr.io/acme/héllo":                          "want a repository",
		"":                                            "want a repository",
		"localhost:5000/acme/hello":                   "",
		"registry.example:443/a/b/c":                  "",
		"acme/hello":                                  "",
		"hello":                                       "",
		"[::1]:5000/hello":                            "",
		"ghcr.io/acme/hello_world-x.y":                "",
		"123456789.dkr.ecr.eu.aws.com/team":           "",
	} {
		var r Repository
		switch err := r.UnmarshalText([]byte(text)); {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// FuzzRepository makes sure that what is proposed is taken.
func FuzzRepository(f *testing.F) {
	for _, text := range []string{"https://ghcr.io/a/b", "/Hello", "a//b:1@x", "a:1/", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r Repository
		err := r.UnmarshalText([]byte(text))
		if err == nil {
			return
		}
		_, proposed, isProposal := strings.Cut(err.Error(), ": ")
		if !isProposal || !strings.HasPrefix(err.Error(), "must ") {
			return
		}
		proposed, _, _ = strings.Cut(proposed, " (got ")
		if err := r.UnmarshalText([]byte(proposed)); err != nil && !strings.Contains(text, ": ") {
			t.Errorf("%q: %q is proposed, and refused: %v", text, proposed, err)
		}
	})
}
