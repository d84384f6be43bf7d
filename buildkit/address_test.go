package buildkit_test

import (
	"errors"
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
		"nothing":                   {buildkit.Options{}, ""},
		"embedded":                  {buildkit.Options{Builder: "embedded", BuildKitHost: "nowhere", DockerHost: "nowhere"}, ""},
		"docker":                    {buildkit.Options{Builder: "docker", BuildKitHost: "nowhere"}, ""},
		"a socket":                  {buildkit.Options{Builder: "unix:///run/buildkit/buildkitd.sock"}, ""},
		"a host":                    {buildkit.Options{BuildKitHost: "tcp://127.0.0.1:1234"}, ""},
		"a host by IPv6":            {buildkit.Options{BuildKitHost: "tcp://[::1]:1234"}, ""},
		"Docker's socket":           {buildkit.Options{Builder: "docker", DockerHost: "unix:///var/run/docker.sock"}, ""},
		"Docker for when needed":    {buildkit.Options{DockerHost: "nowhere"}, ""},
		"a word":                    {buildkit.Options{Builder: "nope"}, "name one of these"},
		"another case":              {buildkit.Options{Builder: "Docker"}, "name one of these"},
		"a path":                    {buildkit.Options{Builder: "/run/buildkit/buildkitd.sock"}, "--builder=unix:///run/buildkit/buildkitd.sock"},
		"a socket with two slashes": {buildkit.Options{Builder: "unix://run/buildkitd.sock"}, "name one of these"},
		"a host without scheme":     {buildkit.Options{BuildKitHost: "127.0.0.1:1234"}, "BUILDKIT_HOST=tcp://127.0.0.1:1234"},
		"a host without port":       {buildkit.Options{BuildKitHost: "tcp://127.0.0.1"}, "name one of these"},
		"a port that is none":       {buildkit.Options{BuildKitHost: "tcp://host:port"}, "name one of these"},
		"a container":               {buildkit.Options{Builder: "docker-container://buildkitd"}, "docker-container:// is not spoken here"},
		"ssh":                       {buildkit.Options{Builder: "docker", DockerHost: "ssh://me@host"}, "ssh:// is not spoken here"},
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
