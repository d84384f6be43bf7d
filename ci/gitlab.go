package ci

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mrelease/mrelease/printable"
)

// Where GitLab's reports are written unless the variables with these names say so.
const (
	dotenvVariable, dotenvFile = "MRELEASE_DOTENV", "dist/released.env"
	junitVariable, junitFile   = "MRELEASE_JUNIT", "dist/junit.xml"
)

// gitlab is GitLab CI, and gitlab-ci-local, which emulates it. Its log has one kind of
// command: a marker that begins or ends a section. It holds a carriage return and an
// escape, which package printable lets through for nobody; and as a section's name has a
// part that nobody can guess, what goes around it could not end one either.
type gitlab struct {
	w             *printable.Writer
	dotenv, junit string

	mu      sync.Mutex
	advised map[string]bool
}

func newGitLab(getenv func(string) string, w *printable.Writer) *gitlab {
	return &gitlab{
		w: w, advised: map[string]bool{},
		dotenv: cmp.Or(getenv(dotenvVariable), dotenvFile), junit: cmp.Or(getenv(junitVariable), junitFile),
	}
}

// Mask cannot mask: GitLab masks the variables of its settings, if their values are of
// certain forms. It says so, once, of a secret that is of none.
func (g *gitlab) Mask(secret string) {
	advice := maskAdvice(secret)
	g.mu.Lock()
	defer g.mu.Unlock()
	if advice == "" || g.advised[advice] {
		return
	}
	g.advised[advice] = true
	_ = g.w.Printf("! GitLab cannot mask a secret of this job: %s\n", advice) // who reads the log is not there any more
}

// What GitLab masks (its Ci::Maskable): any visible characters of a variable that is not
// expanded, and fewer of one that is.
var (
	maskable         = regexp.MustCompile(`^\S{8,}$`)
	maskableExpanded = regexp.MustCompile(`^[a-zA-Z0-9_+=/@:.~-]{8,}$`)
)

// maskAdvice says why GitLab cannot mask a value in a variable and what to do, or that
// it is masked only in one that is not expanded. It is empty for a value without
// trouble.
func maskAdvice(secret string) string {
	switch {
	case strings.ContainsAny(secret, "\r\n"):
		return "it has several lines. Give it as a variable of type File, and name the path that the variable then holds: sign.key, wallet.keystore, enclave.key and build.secrets take files"
	case utf8.RuneCountInString(secret) < 8:
		return "it has fewer than 8 characters. Choose a longer one"
	case !maskable.MatchString(secret):
		return "it holds a space. Choose one without, or make the variable protected, so that only protected branches and tags get it"
	case !maskableExpanded.MatchString(secret):
		return "it is masked only in a variable that is not expanded, as it holds other characters than letters, digits and _+=/@:.~-. Turn off \"Expand variable reference\" of the variable, then mask it"
	}
	return ""
}

// Group begins a section that is folded.
func (g *gitlab) Group(name string) func() {
	section := "mrelease_" + rand.Text()
	g.mark("section_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", time.Now().Unix(), section, printable.Text(name))
	return func() { g.mark("section_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), section) }
}

func (g *gitlab) mark(format string, args ...any) {
	_ = g.w.Verbatim(fmt.Sprintf(format, args...)) // who reads the log is not there any more
}

// Ready also makes sure that a report can carry what is known.
func (g *gitlab) Ready(known ...Output) error {
	for _, o := range known {
		if _, err := g.line(o); err != nil {
			return err
		}
	}
	for _, path := range []string{g.dotenv, g.junit} {
		if err := tryReport(path); err != nil {
			return err
		}
	}
	return nil
}

// tryReport makes a file beside a report, and takes it away again.
func tryReport(path string) error {
	return inFolder(path, func(folder *os.Root, name string) error {
		if info, err := folder.Stat(name); err == nil && !info.Mode().IsRegular() {
			return &os.PathError{Op: "write", Path: path, Err: errors.New("is no regular file")}
		}
		trial, err := create(folder, name, nil)
		if err != nil {
			return err
		}
		return folder.Remove(trial)
	})
}

// UncarriedError says that a dotenv report cannot carry an output as it is.
type UncarriedError struct{ Output, Value string }

func (e *UncarriedError) Error() string {
	return fmt.Sprintf("a dotenv report cannot carry the output %s", e.Output)
}

// Evidence returns what a report can carry.
func (e *UncarriedError) Evidence() [][2]string {
	return [][2]string{{"where", e.Output}, {"expected", fmt.Sprintf("one line without $ and without spaces at its ends, and fewer than %d bytes in all", maxDotenv)}, {"actual", e.Value}}
}

// maxDotenv is the size that a dotenv report must stay below.
const maxDotenv = 5 << 10

// Outputs writes the dotenv report: a line for each value, in a variable that begins
// with RELEASED_. As MRELEASE_ they would be settings of a later job.
func (g *gitlab) Outputs(values []Output) error {
	var lines strings.Builder
	for _, o := range values {
		line, err := g.line(o)
		if err != nil {
			return err
		}
		lines.WriteString(line)
		if o.File == "" || o.Value == "" {
			continue // what an earlier job left in the file may be this one's input
		}
		if err := g.write(g.beside(o.File), []byte(o.Value)); err != nil {
			return err
		}
	}
	if lines.Len() >= maxDotenv {
		return &UncarriedError{Output: "all of them", Value: fmt.Sprintf("%d bytes", lines.Len())}
	}
	return g.write(g.dotenv, []byte(lines.String()))
}

func (g *gitlab) beside(file string) string { return filepath.Join(filepath.Dir(g.dotenv), file) }

// line is an output's line in the report. GitLab takes away the spaces around a value,
// and puts variables into it.
func (g *gitlab) line(o Output) (string, error) {
	variable := "RELEASED_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
	value := o.Value
	if o.File != "" {
		variable += "_PATH"
		if value != "" {
			value = g.beside(o.File)
		}
	}
	if strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n\x00$") || !utf8.ValidString(value) {
		return "", &UncarriedError{Output: variable, Value: value}
	}
	return variable + "=" + value + "\n", nil
}

// Summary does nothing: GitLab's pages show no summary, but link to the file that
// artifacts:expose_as names.
func (*gitlab) Summary(string) error { return nil }

// JUnit writes the report of the steps.
func (g *gitlab) JUnit(document []byte) error { return g.write(g.junit, document) }

// Failed does nothing: the log and the report of the steps say it.
func (*gitlab) Failed(string, []At) {}

// write makes a report appear whole.
func (*gitlab) write(path string, data []byte) error {
	return inFolder(path, func(folder *os.Root, name string) error {
		whole, err := create(folder, name, data)
		if err != nil {
			return err
		}
		return folder.Rename(whole, name)
	})
}

// create writes a new file beside a name: what is there may be somebody's link.
func create(folder *os.Root, name string, data []byte) (beside string, err error) {
	beside = name + "." + rand.Text()
	f, err := folder.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, folder.Remove(beside))
	}
	return beside, nil
}

// inFolder works in the folder of a report, which it makes. A path in the working
// directory cannot lead out of it: whoever may commit can make links.
func inFolder(path string, work func(folder *os.Root, name string) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("telling GitLab, in %s: %w", path, err)
		}
	}()
	base, name := ".", path
	if here, err := os.Getwd(); err == nil && filepath.IsAbs(path) {
		if within, err := filepath.Rel(here, path); err == nil {
			name = within
		}
	}
	if !filepath.IsLocal(name) {
		base, name = filepath.Split(path)
		if err := os.MkdirAll(base, 0o755); err != nil {
			return err
		}
	}
	folder, err := os.OpenRoot(base)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, folder.Close()) }()
	if err := folder.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return work(folder, name)
}
