package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	gitconfig "github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/mrelease/mrelease/bounds"
)

// readUserConfig reads how files are compared, as git does for the user: from the
// machine's configuration, the user's and the repository's, the last of which counts. What
// they include is not read, and refused.
func (s *plainStatus) readUserConfig() error {
	s.core = values{}
	for _, file := range userConfigs(s.options.Getenv) {
		text, err := bounds.ReadFile(file, bounds.GitFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found := gitconfig.New()
		if err == nil {
			err = gitconfig.NewDecoder(bytes.NewReader(text)).Decode(found)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		if err := s.readCore(file, found); err != nil {
			return err
		}
	}
	if err := s.readCore(filepath.Join(s.root, ".git", "config"), s.config.Raw); err != nil {
		return err
	}
	s.excludes = userFile(s.core["excludesfile"], "ignore", s.options.Getenv)
	for _, attributes := range []string{userFile(s.core["attributesfile"], "attributes", s.options.Getenv), filepath.Join(s.root, ".git", "info", "attributes"), "/etc/gitattributes"} {
		if _, err := os.Stat(attributes); attributes != "" && err == nil {
			s.core["attributes"] = attributes
		}
	}
	return nil
}

func (s *plainStatus) readCore(file string, found *gitconfig.Config) error {
	for _, section := range found.Sections {
		if name := strings.ToLower(section.Name); name == "include" || name == "includeif" {
			return fmt.Errorf("%s includes other files", file)
		} else if name != "core" {
			continue
		}
		for _, option := range section.Options {
			s.core[strings.ToLower(option.Key)] = option.Value
		}
	}
	return nil
}

// userConfigs are the files that git reads before the repository's own.
func userConfigs(getenv func(string) string) (files []string) {
	if (values{"": getenv("GIT_CONFIG_NOSYSTEM")}).isTrue("") {
	} else if system := getenv("GIT_CONFIG_SYSTEM"); system != "" {
		files = append(files, system)
	} else {
		files = append(files, "/etc/gitconfig")
	}
	if global := getenv("GIT_CONFIG_GLOBAL"); global != "" {
		return append(files, global)
	}
	home, config := getenv("HOME"), getenv("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	if config != "" {
		files = append(files, filepath.Join(config, "git", "config"))
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".gitconfig"))
	}
	return files
}
