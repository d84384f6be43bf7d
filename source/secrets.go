package source

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/settings"
)

// ReadSecrets reads the values of the build's secrets. Its error is a
// [*settings.Error] with every one that cannot be had, or that no build may have, and with
// the app's secret where the build would see that.
func (o Options) ReadSecrets() (map[string][]byte, error) {
	values := map[string][]byte{}
	var problems []settings.Problem
	for id, s := range o.Settings.Build.Secrets {
		if o.Unread {
			values[id] = nil
			continue
		}
		value, problem := o.readSecret(s)
		if problem != nil {
			problem.Where = "build.secrets." + id
			problems = append(problems, *problem)
		}
		if len(value) > 0 && o.Mask != nil {
			o.Mask(string(value))
		}
		values[id] = value
	}
	if file := string(o.Settings.Secret.File); file != "" {
		sent, err := o.build().Sends(file)
		if err != nil {
			return nil, err
		}
		if sent { // as it is, and a COPY would publish it for good
			problems = append(problems, settings.Problem{Where: "app-secret", Key: "file", Text: file + " is in the build context, and so may be in the image: name it in .dockerignore"})
		}
	}
	if len(problems) > 0 {
		return nil, &settings.Error{Problems: problems}
	}
	return values, nil
}

func (o Options) readSecret(s settings.Secret) ([]byte, *settings.Problem) {
	value, problem := o.readValue(s)
	if problem == nil {
		problem = o.checkValue(value)
	}
	return value, problem
}

func (o Options) readValue(s settings.Secret) ([]byte, *settings.Problem) {
	if s.File != "" {
		value, err := bounds.ReadFile(string(s.File), bounds.Secret)
		if err != nil {
			return nil, &settings.Problem{Key: "file", Text: fmt.Sprintf("%s: %s", s.File, settings.Reason(err))}
		}
		return value, nil
	}
	value := o.Getenv(s.Env)
	if value == "" {
		return nil, &settings.Problem{Key: "env", Text: s.Env + " is not set", Unset: s.Env}
	}
	return []byte(value), nil
}

// shortest is how long a password must be to be looked for in longer texts: shorter
// ones occur everywhere.
const shortest = 6

// checkValue refuses a secret that holds what opens the release's keys, or is one: under
// another variable's name, in a copy of a file, in the environment of a process as
// /proc shows it.
func (o Options) checkValue(value []byte) *settings.Problem {
	for _, name := range o.Settings.KeyVariables() {
		secret := []byte(o.Getenv(name))
		if len(secret) > 0 && (bytes.Equal(trimmed(value), trimmed(secret)) || len(secret) >= shortest && bytes.Contains(value, secret)) {
			return &settings.Problem{Text: "holds the value of " + name + ", which opens a key of the release: no build may have it"}
		}
	}
	for _, file := range filesIn(o.Settings.KeyFiles()) {
		if key, err := bounds.ReadFile(file, bounds.Key); err == nil && bytes.Equal(trimmed(value), trimmed(key)) {
			return &settings.Problem{Text: "is a copy of " + file + ", a key of the release: no build may have it"}
		}
	}
	return nil
}

// maxKeys is how many files of a folder of keystores are looked at.
const maxKeys = 1000

// filesIn puts in the place of a folder the files in it.
func filesIn(paths []string) (files []string) {
	for _, path := range paths {
		entries, err := os.ReadDir(path)
		if err != nil {
			files = append(files, path)
		}
		for _, e := range entries[:min(len(entries), maxKeys)] {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	return files
}

func trimmed(value []byte) []byte { return bytes.TrimSpace(value) }
