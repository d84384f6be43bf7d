package logins

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/docker/cli/cli/config/configfile"

	"github.com/mrelease/mrelease/bounds"
)

// authVariable holds a config.json.
const authVariable = "DOCKER_AUTH_CONFIG"

// Place is a place where logins are kept in the form of Docker's config.json.
type Place struct {
	Name  string // of the file, or the variable
	text  string // of the variable
	named bool   // by REGISTRY_AUTH_FILE: it must be there
}

// Places are all, in the order in which they are looked at, whether they are there or not.
func Places(getenv func(string) string) (all []Place) {
	if text := getenv(authVariable); text != "" {
		all = append(all, Place{Name: authVariable, text: text})
	}
	home := cmp.Or(getenv("HOME"), getenv("USERPROFILE"))
	below := func(folder, file string) string {
		if folder == "" {
			return ""
		}
		return filepath.Join(folder, file)
	}
	if file := getenv("REGISTRY_AUTH_FILE"); file != "" {
		all = append(all, Place{Name: file, named: true})
	}
	const podman = "containers/auth.json"
	for _, file := range []string{
		cmp.Or(below(getenv("DOCKER_CONFIG"), "config.json"), below(home, ".docker/config.json")),
		cmp.Or(below(getenv("XDG_RUNTIME_DIR"), podman), "/run/containers/"+strconv.Itoa(os.Getuid())+"/auth.json"),
		cmp.Or(below(getenv("XDG_CONFIG_HOME"), podman), below(home, filepath.Join(".config", podman))),
	} {
		if file != "" {
			all = append(all, Place{Name: file})
		}
	}
	return all
}

// Check makes sure that a place, if it is there, can be read and is within the bounds.
// A file that may not be read is none of its affairs: the registry may do without. One that
// REGISTRY_AUTH_FILE names must be there, as podman has it.
func (p Place) Check() error {
	if p.named {
		switch info, err := os.Stat(p.Name); {
		case errors.Is(err, fs.ErrNotExist):
			return errors.New("REGISTRY_AUTH_FILE names it, and it is not there")
		case err != nil:
			return err
		case info.IsDir():
			return errors.New("REGISTRY_AUTH_FILE names it, and it is a folder")
		}
	}
	if _, err := p.read(); p.named || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// read returns nil for a place that is not there.
func (p Place) read() (*configfile.ConfigFile, error) {
	data, err := p.bytes()
	if err != nil || data == nil {
		return nil, err
	}
	config := configfile.New("")
	if err := config.LoadFromReader(bytes.NewReader(data)); err != nil {
		// What the decoders say may quote a password.
		return nil, errors.New("it is not as Docker's config.json: {\"auths\": {\"REGISTRY\": {\"auth\": base64 of USER:PASSWORD}}}")
	}
	return config, nil
}

func (p Place) bytes() ([]byte, error) {
	if p.text != "" {
		if len(p.text) > bounds.Docker {
			return nil, &bounds.Error{What: "its size", Most: bounds.Bytes(bounds.Docker), Got: fmt.Sprintf("%d bytes", len(p.text))}
		}
		return []byte(p.text), bounds.CheckJSON([]byte(p.text))
	}
	info, err := os.Stat(p.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil, nil
	}
	data, err := bounds.ReadJSON(p.Name, bounds.Docker)
	if err == nil && len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	return data, err
}
