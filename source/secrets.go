package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/settings"
)

// ReadSecrets reads the values of the build's secrets. Its error is a
// [*settings.Error] with every one that cannot be had, or that no build may have, and with
// the keys of the release, and the app's secret, where the build would see them.
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
	problems = append(problems, o.seenKeys()...)
	if len(problems) > 0 {
		return nil, &settings.Error{Problems: problems}
	}
	return values, nil
}

// seenKeys are this release's own keys, and its app's secret, that the build would see in one
// of its contexts: as they are, and a COPY would publish them for good. A link in a context
// is sent as a link, so what counts is where a file itself is, and where its name is.
func (o Options) seenKeys() (problems []settings.Problem) {
	sight, err := o.build().Sight()
	if err != nil {
		return nil // an ignore file that cannot be read is the build's affair
	}
	for _, f := range o.keyFiles() {
		problems = append(problems, seenAt(sight, f.Named, f.Path)...)
	}
	return problems
}

// keyFiles are those of the configuration, and the files of clouds' credentials that the
// environment names: google-github-actions/auth writes one into the workspace. Of Vault it is
// the token that its own program keeps: a job's home may be where its source is.
func (o Options) keyFiles() []settings.KeyFile {
	files := o.Settings.KeyFiles()
	if token := settings.VaultTokenFile(o.Getenv); token != "" {
		files = append(files, settings.KeyFile{Named: "Vault's token", Path: token})
	}
	for _, name := range []string{
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "GOOGLE_GHA_CREDS_PATH",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE",
	} {
		path := o.Getenv(name)
		if path != "" && !slices.ContainsFunc(files, func(f settings.KeyFile) bool { return f.Path == path }) {
			files = append(files, settings.KeyFile{Named: "variable " + name, Path: path})
		}
	}
	return files
}

// maxTold is how many wallets of a folder are told one by one.
const maxTold = 10

// seenAt tells of a key that a build sees, or of each that is one in a folder.
func seenAt(sight buildkit.Sight, key, path string) (problems []settings.Problem) {
	for _, file := range filesIn([]settings.KeyFile{{Path: path}}) {
		if file != path && !isKeystore(file) {
			continue
		}
		if ignore := seenBy(sight, file); ignore != "" {
			problems = append(problems, settings.Problem{Where: key, Text: file + " is in the build context, and so may be in the image: name it in " + ignore})
		}
	}
	if more := len(problems) - maxTold; more > 0 {
		problems = append(problems[:maxTold], settings.Problem{Where: key, Text: fmt.Sprintf("%d more in %s are in the build context", more, path)})
	}
	return problems
}

// isKeystore reports whether a file in a folder of wallets is one: a keystore of version 3
// (Web3 Secret Storage), whose "crypto" some programs write with a capital.
func isKeystore(file string) bool {
	var wallet struct {
		Crypto json.RawMessage `json:"crypto"`
	}
	data, err := bounds.ReadJSON(file, bounds.Key)
	return err == nil && json.Unmarshal(data, &wallet) == nil && len(wallet.Crypto) > 0
}

// seenBy returns the ignore file that should leave a file out which a build sees, by its
// name or by where its links lead; "" for one that no build sees.
func seenBy(sight buildkit.Sight, file string) string {
	file, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "" // there is none
	}
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() {
		file = real // its folder may be a link
	}
	for _, path := range []string{file, real} {
		if ignore, err := sight.IgnoreFile(path); err == nil && ignore != "" {
			return ignore
		}
	}
	return ""
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
	for _, file := range filesIn(o.keyFiles()) {
		if key, err := bounds.ReadFile(file, bounds.Key); err == nil && bytes.Equal(trimmed(value), trimmed(key)) {
			return &settings.Problem{Text: "is a copy of " + file + ", a key of the release: no build may have it"}
		}
	}
	return nil
}

// maxKeys is how many files of a folder of keystores are looked at.
const maxKeys = 1000

// filesIn puts in the place of a folder the files in it.
func filesIn(keys []settings.KeyFile) (files []string) {
	for _, key := range keys {
		entries, err := os.ReadDir(key.Path)
		if err != nil {
			files = append(files, key.Path)
		}
		for _, e := range entries[:min(len(entries), maxKeys)] {
			files = append(files, filepath.Join(key.Path, e.Name()))
		}
	}
	return files
}

func trimmed(value []byte) []byte { return bytes.TrimSpace(value) }
