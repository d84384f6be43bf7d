package buildkit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// What names no builder is told before anything is done, with what was probably meant.
func TestNamesOfBuilders(t *testing.T) {
	for name, tt := range map[string]struct {
		opts buildkit.Options
		want string // of the remedy; empty: it is taken
	}{
		"nothing":                    {buildkit.Options{}, ""},
		"embedded":                   {buildkit.Options{Builder: "embedded", BuildKitHost: "nowhere", DockerHost: "nowhere"}, ""},
		"docker":                     {buildkit.Options{Builder: "docker", BuildKitHost: "nowhere"}, ""},
		"a socket":                   {buildkit.Options{Builder: "unix:///run/buildkit/buildkitd.sock"}, ""},
		"a host":                     {buildkit.Options{BuildKitHost: "tcp://127.0.0.1:1234"}, ""},
		"a host by IPv6":             {buildkit.Options{BuildKitHost: "tcp://[::1]:1234"}, ""},
		"Docker's socket":            {buildkit.Options{Builder: "docker", DockerHost: "unix:///var/run/docker.sock"}, ""},
		"Docker for when needed":     {buildkit.Options{DockerHost: "nowhere"}, ""},
		"a word":                     {buildkit.Options{Builder: "nope"}, "name one of these"},
		"another case":               {buildkit.Options{Builder: "Docker"}, "name one of these"},
		"a path":                     {buildkit.Options{Builder: "/run/buildkit/buildkitd.sock"}, "--builder=unix:///run/buildkit/buildkitd.sock"},
		"a socket with two slashes":  {buildkit.Options{Builder: "unix://run/buildkitd.sock"}, "name one of these"},
		"a host without scheme":      {buildkit.Options{BuildKitHost: "127.0.0.1:1234"}, "BUILDKIT_HOST=tcp://127.0.0.1:1234"},
		"a host without port":        {buildkit.Options{BuildKitHost: "tcp://127.0.0.1"}, "name one of these"},
		"a port that is none":        {buildkit.Options{BuildKitHost: "tcp://host:port"}, "name one of these"},
		"a container":                {buildkit.Options{Builder: "podman-container://buildkitd"}, "podman-container:// is not spoken here"},
		"several":                    {buildkit.Options{BuildKitHost: "tcp://a:1,unix:///b.sock"}, ""},
		"a comma in a path":          {buildkit.Options{BuildKitHost: "unix:///a,b/c,d.sock,tcp://a:1"}, ""},
		"a socket, and one too many": {buildkit.Options{BuildKitHost: "unix:///a.sock,"}, "name one of these"},
		"a socket, and embedded":     {buildkit.Options{Builder: "unix:///a.sock,embedded"}, "name one of these"},
		"several, and a space":       {buildkit.Options{BuildKitHost: "tcp://a:1, tcp://b:1"}, "without spaces, joined by commas"},
		"several, and one too many":  {buildkit.Options{BuildKitHost: "tcp://a:1,"}, "name one of these"},
		"several, one without port":  {buildkit.Options{Builder: "tcp://a:1,tcp://b"}, "name one of these"},
		"several, one embedded":      {buildkit.Options{Builder: "tcp://a:1,embedded"}, "name one of these"},
		"more than there may be":     {buildkit.Options{Builder: strings.Repeat("tcp://a:1,", buildkit.MaxBuilders) + "tcp://b:1"}, "name one of these"},
		"somebody's password":        {buildkit.Options{Builder: "ssh://me:secret@host"}, "name one of these"},
		"ssh":                        {buildkit.Options{Builder: "docker", DockerHost: "ssh://me@host"}, "ssh:// is not spoken here"},
	} {
		err := tt.opts.Check()
		var wrong *buildkit.AddressError
		if !errors.As(err, &wrong) {
			if err != nil || tt.want != "" {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
			continue
		}
		if tt.want == "" || !strings.Contains(wrong.Remedy(), tt.want) || !strings.Contains(wrong.Error(), wrong.Value) || !strings.Contains(wrong.Error(), "unix:///SOCKET") {
			t.Errorf("%s: %v; %s, want %q", name, wrong, wrong.Remedy(), tt.want)
		}
		if _, err := buildkit.Open(t.Context(), tt.opts); !errors.As(err, &wrong) {
			t.Errorf("%s: Open returns %v", name, err)
		}
		if _, err := buildkit.Probe(t.Context(), tt.opts); !errors.As(err, &wrong) {
			t.Errorf("%s: Probe returns %v", name, err)
		}
	}
}

// Whose builders count, and how one is spoken to that is named in two places.
func TestRemotes(t *testing.T) {
	known := []buildkit.Remote{{Address: "tcp://a:1", TLS: buildkit.TLS{CA: "ca"}, Builds: 3}, {Address: "tcp://b:1"}}
	for name, tt := range map[string]struct {
		opts buildkit.Options
		want []buildkit.Remote
	}{
		"nothing":           {buildkit.Options{}, nil},
		"the configured":    {buildkit.Options{Builders: known}, known},
		"the embedded one":  {buildkit.Options{Builder: buildkit.Embedded, BuildKitHost: "tcp://c:1", Builders: known}, nil},
		"Docker":            {buildkit.Options{Builder: buildkit.Docker, Builders: known}, nil},
		"the variable":      {buildkit.Options{BuildKitHost: "tcp://c:1,tcp://a:1,tcp://c:1", Builders: known}, []buildkit.Remote{{Address: "tcp://c:1"}, known[0]}},
		"a comma in a path": {buildkit.Options{BuildKitHost: "unix:///a,b/c,d.sock,tcp://a:1"}, []buildkit.Remote{{Address: "unix:///a,b/c,d.sock"}, {Address: "tcp://a:1"}}},
		"the flag":          {buildkit.Options{Builder: "tcp://b:1", BuildKitHost: "tcp://c:1", Builders: known}, known[1:]},
	} {
		if got := tt.opts.Remotes(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
