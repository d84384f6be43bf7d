package buildkit

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// sealLinter looks for what goes wrong in Dockerfiles of enclaves: each rule was
// met in published ones.
type sealLinter struct {
	rules  *linter.Linter
	stages []instructions.Stage
	pinned map[string]bool // references that the configuration pins
}

func (s Source) lintSeal(rules *linter.Linter, stages []instructions.Stage) {
	l := sealLinter{rules, stages, map[string]bool{}}
	for name := range shortened(s.Bases) {
		l.pinned[name] = true
	}
	for name, value := range shortened(s.Contexts) {
		l.pinned[name] = !strings.HasPrefix(value, schemeImage) || strings.Contains(value, "@")
	}
	for i, stage := range stages {
		l.base(i, stage)
		for _, command := range stage.Commands {
			l.command(command)
		}
	}
	l.entrypoint(s.Target)
}

// report reports a finding, unless the Dockerfile silences its rule.
func (l sealLinter) report(name, text, cure string, at []parser.Range) {
	l.rules.Run(&linter.LinterRule[func() string]{Name: name, Description: cure}, at, text)
}

func (l sealLinter) base(i int, stage instructions.Stage) {
	if p := stage.Platform; p != "" && p != platform && !strings.Contains(p, "$") {
		l.report("PlatformNotAMD64", "SGX enclaves run on "+platform+", not on "+p, "Take the --platform out.", stage.Location)
	}
	if _, earlier := instructions.HasStage(l.stages[:i], stage.BaseName); earlier || stage.BaseName == "scratch" || strings.Contains(stage.BaseName, "@sha256:") || strings.Contains(stage.BaseName, "$") {
		return
	}
	if name, err := contextName(stage.BaseName); err == nil && !l.pinned[name] {
		l.report("FloatingBase", "the base image "+stage.BaseName+" can be another one tomorrow, and then the enclave measures to something else; what its programs print is not trusted either (enclave.trust)",
			"Add its digest (@sha256:…) here, or in build.bases of mrelease.yaml.", stage.Location)
	}
}

func (l sealLinter) command(command instructions.Command) {
	switch c := command.(type) {
	case *instructions.RunCommand:
		l.run(c)
	case *instructions.CopyCommand:
		l.files(c.SourcePaths, c.Location())
	case *instructions.AddCommand:
		l.files(c.SourcePaths, c.Location())
	case *instructions.EnvCommand:
		l.env(c)
	}
}

// assigned matches a shell command that is nothing but assignments, one of them
// to a variable of the runtime: without export no program sees it.
func assigned() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|&&|\|\||;|\n)\s*(?:\w+=\S*\s+)*(SCONE_\w+)=[^\s;&|]*(?:\s+\w+=[^\s;&|]*)*\s*(?:$|&&|\|\||;|\n)`)
}

func (l sealLinter) run(c *instructions.RunCommand) {
	script := strings.ReplaceAll(strings.Join(c.CmdLine, " "), "\\\n", " ")
	for _, file := range c.Files {
		script += "\n" + file.Data
	}
	if match := assigned().FindStringSubmatch(script); match != nil && c.PrependShell {
		l.report("SettingNotExported", match[1]+" is set for the shell alone: the program that is measured does not see it",
			"Write export "+match[1]+"=…, or set it with ENV.", c.Location())
	}
	if strings.Contains(script, "fspf") && regexp.MustCompile(`\s/etc(?:\s|;|$)`).MatchString(script) {
		l.report("EtcRegion", "/etc is protected as a whole: hosts, hostname and resolv.conf in it are other files in each container",
			"Protect a folder of it, such as /etc/ssl.", c.Location())
	}
	if strings.Contains(script, "SCONE_HASH=1") && !strings.Contains(script, ">") && !strings.Contains(script, "tee ") {
		l.report("FingerprintOnlyPrinted", "the fingerprint is printed and not kept: a build from the cache prints nothing",
			"Write it to the file of enclave.fingerprint-file too.", c.Location())
	}
	if regexp.MustCompile(`openssl\s+gen(rsa|pkey)|ssh-keygen`).MatchString(script) {
		l.report("KeyInLayer", "a private key is made in a layer: it stays in the image even if a later step removes it",
			"Give the key with RUN --mount=type=secret, or let mrelease sign (enclave.key).", c.Location())
	}
}

func (l sealLinter) files(paths []string, at []parser.Range) {
	for _, p := range paths {
		if base := path.Base(p); strings.HasSuffix(base, ".pem") || strings.HasSuffix(base, ".key") || strings.HasPrefix(base, "id_rsa") || strings.HasPrefix(base, "id_ed25519") {
			l.report("KeyInLayer", p+" looks like a private key: it stays in the image even if a later step removes it",
				"Give the key with RUN --mount=type=secret, or let mrelease sign (enclave.key).", at)
		}
	}
}

func (l sealLinter) env(c *instructions.EnvCommand) {
	for _, pair := range c.Env {
		if pair.Key == "SCONE_ALLOW_DLOPEN" && strings.Trim(pair.Value, `"'`) == "2" {
			l.report("AnyLibrary", "the enclave may load any library at run time, unprotected ones too: no measurement covers them",
				"Set it to 1 for production.", c.Location())
		}
	}
}

// entrypoint looks at the program that the image starts. An ENTRYPOINT without words takes
// that of the base image away; with each goes the CMD of what its stage is made from.
func (l sealLinter) entrypoint(target string) {
	last := len(l.stages) - 1
	if i, ok := stageOf(l.stages, target); ok {
		last = i
	}
	s := l.start(last)
	switch {
	case names(s.entrypoint):
		l.program(s, s.entrypoint)
	case !names(s.cmd):
		l.report(NoEntrypoint, "the image has no ENTRYPOINT of its own: what is measured is whatever program the base image starts",
			`Add ENTRYPOINT ["PROGRAM", …] with the enclave's program; if the base image's is meant, add the line "# check=skip=NoEntrypoint" at the top.`, l.stages[last].Location)
	case s.entrypoint != nil: // else it may be the arguments of the base image's
		l.program(s, s.cmd)
	}
}

// start is what a stage, with those that it is made from, says of the program that is
// started; nil where it says nothing.
type start struct {
	entrypoint, cmd *instructions.ShellDependantCmdLine
	at              []parser.Range // of what was said last
	shell           bool           // SHELL names another than the usual one
}

func (l sealLinter) start(i int) (s start) {
	stage, ownCmd := l.stages[i], false
	if base, isStage := instructions.HasStage(l.stages[:i], stage.BaseName); isStage {
		s = l.start(base)
	}
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.ShellCommand:
			s.shell = true
		case *instructions.CmdCommand:
			s.cmd, ownCmd = &c.ShellDependantCmdLine, true
			if !names(s.entrypoint) {
				s.at = c.Location()
			}
		case *instructions.EntrypointCommand:
			s.entrypoint, s.at = &c.ShellDependantCmdLine, c.Location()
			if !ownCmd {
				s.cmd = nil
			}
		}
	}
	return s
}

// names reports whether an ENTRYPOINT or CMD names a program.
func names(line *instructions.ShellDependantCmdLine) bool {
	return line != nil && len(line.CmdLine) > 0 && line.CmdLine[0] != ""
}

// program finds out whether the program that is started is a shell. By its name, since
// there is no image yet: which programs measure is found out when there is.
func (l sealLinter) program(s start, line *instructions.ShellDependantCmdLine) {
	program := line.CmdLine[0]
	switch {
	case line.PrependShell && s.shell:
		return
	case line.PrependShell:
		program = "/bin/sh, which runs what is no list of words"
	case !isShell(program):
		return
	}
	l.report(ShellEntrypoint, "the program that is measured would be "+program+": a shell measures nothing, so whatever it has printed is only stated (enclave.trust)",
		`Start the enclave's program itself, with each word as one: ENTRYPOINT ["python3", "/app/app.py"].`, s.at)
}

// isShell reports whether a program is a shell, or a script for one.
func isShell(program string) bool {
	name := path.Base(program)
	return slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "zsh", "busybox"}, name) || path.Ext(name) == ".sh"
}
