package preflight

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/settings"
)

// CheckCredentials bounds the files from which go-containerregistry takes the
// credentials of registries: it reads them whole. Its error is a [*settings.Error].
func CheckCredentials(getenv func(string) string) error {
	var problems []settings.Problem
	for _, file := range credentialFiles(getenv) {
		info, err := os.Stat(file)
		if err != nil || info.IsDir() {
			continue
		}
		_, err = bounds.ReadJSON(file, bounds.Docker)
		var larger *bounds.Error
		if errors.As(err, &larger) {
			problems = append(problems, settings.Problem{Where: file, Text: larger.Reason()})
		} else if err != nil && !errors.Is(err, fs.ErrPermission) { // which the registry may do without
			problems = append(problems, settings.Problem{Where: file, Text: settings.Reason(err)})
		}
	}
	if problems == nil {
		return nil
	}
	return &settings.Error{Problems: problems}
}

// credentialFiles are those of authn.DefaultKeychain.
func credentialFiles(getenv func(string) string) []string {
	var files []string
	for _, f := range []struct{ variable, name string }{
		{"HOME", ".docker/config.json"}, {"DOCKER_CONFIG", "config.json"}, {"REGISTRY_AUTH_FILE", ""},
		{"XDG_RUNTIME_DIR", "containers/auth.json"}, {"XDG_CONFIG_HOME", "containers/auth.json"},
	} {
		if value := getenv(f.variable); value != "" {
			files = append(files, filepath.Join(value, f.name))
		}
	}
	return files
}
