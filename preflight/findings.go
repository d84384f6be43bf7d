package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Finding is something that a release takes and that is likely to be a mistake.
type Finding struct {
	Where string `json:"where"` // file:line
	Code  string `json:"code"`
	Text  string `json:"text"`
	Cure  string `json:"cure"`
}

// look looks at what the image is built from. Which times a release takes is
// git's affair.
func (i *inspection) look(ctx context.Context) string {
	if i.Refused("build.context") || i.Refused("build.dockerfile") {
		return ""
	}
	src := source.Build(i.Settings)
	for _, err := range split(src.Validate()) {
		i.Complain("build", "%v", err)
	}
	var asked *settings.Error
	if _, _, err := i.source.AskedTime(); errors.As(err, &asked) {
		i.Problems = append(i.Problems, asked.Problems...)
	}
	i.lint(ctx, src)
	if scripts := printable.Scripts(i.Settings.AppName()); scripts != nil {
		i.findings = append(i.findings, Finding{i.Place("name"), "MixedScripts", "the app's name mixes letters of " + strings.Join(scripts, ", ") + ": it may be read as another name", "write it in one script"})
	}
	if text := i.Settings.Build.Compression.Warning(); text != "" {
		i.findings = append(i.findings, Finding{i.Place("build.compression"), "Zstd", text, "set build.compression to gzip, unless you know the workers"})
	}
	if e := i.Settings.Enclave; e.Format == measure.JSON && e.Framework != "" && !i.Refused("enclave.framework") && !e.Object().RunsProgram() {
		i.findings = append(i.findings, Finding{i.Place("enclave.framework"), "Unmeasured", "mrelease cannot measure an enclave of " + e.Framework + ": the release ends unless the image prints its MRENCLAVE as one that it can", "release it with its framework's own tools"})
	}
	if e := i.Settings.Enclave; e.Seal == buildkit.SealBinaryFS && e.Dlopen == 2 && e.Key != "" {
		i.findings = append(i.findings, Finding{i.Place("enclave.dlopen"), "AnyLibrary", "the production enclave may load any library at run time: no measurement covers them", "set enclave.dlopen to 1"})
	}
	return src.Dockerfile
}

// lint looks at the Dockerfile, and at the context as its ignore file shows it.
func (i *inspection) lint(ctx context.Context, src buildkit.Source) {
	found, err := src.Lint(ctx)
	for _, f := range found {
		if f.Stops(i.Settings.Enclave.Format != measure.None, i.Settings.Enclave.Trust != measure.TrustStated) {
			i.Problems = append(i.Problems, settings.Problem{Where: at(src.Dockerfile, f.Line), Text: f.Text + "; " + f.Cure})
		} else {
			i.findings = append(i.findings, Finding{at(src.Dockerfile, f.Line), f.Code, f.Text, f.Cure})
		}
	}
	var parse *buildkit.BuildError
	var ignore *buildkit.IgnoreError
	switch {
	case errors.As(err, &parse):
		i.Problems = append(i.Problems, settings.Problem{Where: at(src.Dockerfile, parse.Line), Text: parse.Err.Error()})
	case errors.As(err, &ignore):
		i.Problems = append(i.Problems, settings.Problem{Where: ignore.Place(), Text: fmt.Sprintf("%q is no pattern: %v", ignore.Pattern, ignore.Err)})
		return
	case err != nil: // of the Dockerfile or the ignore file, which the context needs as well
		i.Complain("build.dockerfile", "%v", err)
		return
	}
	i.context(src)
	i.bytecode(src)
}

// bytecode finds compiled Python in the context: it holds the time of its
// source, which each checkout sets anew.
func (i *inspection) bytecode(src buildkit.Source) {
	err := filepath.WalkDir(src.Context, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".pyc") {
			return err
		}
		if sent, err := src.Sends(path); err != nil || !sent {
			return err
		}
		i.findings = append(i.findings, Finding{path, "Bytecode", "compiled Python is in the build context: it holds the time of its source, and a seal covers it", "add **/*.pyc and **/__pycache__ to " + src.IgnoreFile()})
		return fs.SkipAll
	})
	if err != nil {
		i.Complain("build.context", "%v", err)
	}
}

// context finds what must not be in a build context: it would be in the image
// if a COPY takes it, and what each run changes makes each run's inputs others.
func (i *inspection) context(src buildkit.Source) {
	git := filepath.Join(src.Context, ".git")
	if _, err := os.Stat(git); err != nil {
		git = ""
	}
	for _, f := range []struct{ path, code, text string }{
		{git, "ContextGit", "the build context holds .git, which is another one in each clone: the same commit has other inputs there"},
		{filepath.Join("dist", "image"), "ContextOutput", "the build context holds what a release writes: the next one has other inputs"},
		{string(i.Settings.Record), "ContextOutput", "the build context holds what a release writes: the next one has other inputs"},
		{string(i.Settings.Attest.VEX), "ContextVEX", "the build context holds the VEX document: a newer one makes other inputs, and cannot be attested of an image that was released"},
	} {
		if f.path == "" || strings.Contains(f.path, "://") {
			continue
		}
		if sent, err := src.Sends(f.path); err != nil {
			i.Complain("build.context", "%v", err)
		} else if sent {
			i.findings = append(i.findings, Finding{f.path, f.code, f.text, "name it in " + src.IgnoreFile()})
		}
	}
}
