package e2e

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/registry"
	"github.com/mrelease/mrelease/sandbox/scanner"
	"github.com/mrelease/mrelease/sandbox/world"
)

// slots is how many scripts run at the same time. Several spend most of their
// time in waiting, so it is more than a small machine has processors.
const slots = 3

// slot is what a script has to itself while it runs. Faults are a world's, and
// BuildKit's state folder is used by one process at a time.
type slot struct {
	world   *world.World
	private string // host and port of a registry that wants a login
	state   string // folder
	other   string // URL of a node of a chain with the same contracts and nothing in them

	findings []string // what scripts left that they must not
}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(slots+1)); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for _, s := range runScripts(t, "testdata/script", nil) {
		searchFolder(t, s.state)
		searchRegistry(t, s.world.Registry)
	}
}

// runScripts runs the scripts of a folder, which have more commands than all have, and
// returns where they ran.
func runScripts(t *testing.T, dir string, more map[string]func(*testscript.TestScript, *script, []string)) (all []*slot) {
	t.Helper()
	needBuilder(t)
	needPrograms(t, dir)
	tools, free := prepare(t), make(chan *slot, slots)
	for range slots {
		s := &slot{world: startWorld(t), private: startPrivateRegistry(t), state: t.TempDir()}
		all = append(all, s)
		free <- s
	}
	empty := startWorld(t)
	for _, s := range all {
		s.other = empty.V6.RPC
	}
	t.Run("run", func(t *testing.T) { // ends when all scripts have
		testscript.Run(t, testscript.Params{
			Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true, Cmds: commands(more),
			Setup: func(env *testscript.Env) error {
				s := <-free
				env.Defer(func() {
					s.tidy(env.WorkDir)
					free <- s
				})
				return setUp(env, tools, s)
			},
		})
	})
	for _, s := range all {
		for _, finding := range s.findings {
			t.Error(finding)
		}
	}
	return all
}

// tidy takes away the faults that a script left, which shows that it did not test
// what it says, and looks for secrets in what mrelease wrote into its folder.
func (s *slot) tidy(workDir string) {
	script := filepath.Base(workDir)
	for _, rule := range s.world.Faults.Rules() {
		s.findings = append(s.findings, fmt.Sprintf("%s: a fault that never happened: %+v", script, rule))
	}
	s.world.Faults.Clear()
	_, leaks, err := findInFolder(filepath.Join(workDir, "dist"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		leaks = append(leaks, err.Error())
	}
	for _, leak := range leaks {
		s.findings = append(s.findings, script+": "+leak)
	}
}

// needBuilder skips where the embedded builder cannot run; in CI that is a
// failure.
func needBuilder(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("runc")
	switch {
	case err == nil && os.Getuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("these tests need root and runc")
	default:
		t.Skip("these tests need root and runc")
	}
}

// needPrograms fails in CI without the programs that scripts do parts of their work with
// only where these are there.
func needPrograms(t *testing.T, dir string) {
	t.Helper()
	if os.Getenv("CI") != "true" {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range regexp.MustCompile(`(?m)^\[!?exec:([^]]+)\]`).FindAllSubmatch(text, -1) {
			if _, err := exec.LookPath(string(named[1])); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
}

func startWorld(t *testing.T) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func startPrivateRegistry(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Options{User: "user", Password: registryPassword}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// tools are the files that all scripts share.
type tools struct {
	dir string // of the program mrelease
	app string // the enclave program of the scripts' images, its bytes
	key signingKeys

	examples string            // folder
	base     string            // the stand-in base image, as a named context
	scanners map[string]string // images of the stand-in scanner, by what they do, as attest.sbom names them
}

// prepare finds mrelease, which the Makefile builds, and builds the rest.
func prepare(t *testing.T) tools {
	t.Helper()
	binary, err := filepath.Abs(cmp.Or(os.Getenv("MRELEASE_TEST_BINARY"), "../../bin/mrelease"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v; build it with: make bin/mrelease", err)
	}
	keys, err := makeSigningKeys()
	if err != nil {
		t.Fatal(err)
	}
	examples := filepath.Join(t.TempDir(), "examples") // in no repository, which would say what they are
	if err := os.CopyFS(examples, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	return tools{filepath.Dir(binary), buildApp(t), keys, examples, baseContext(t), buildScanners(t)}
}

// buildScanners makes the images of the stand-in scanner.
func buildScanners(t *testing.T) map[string]string {
	t.Helper()
	scanners, err := scanner.Layout(filepath.Join(t.TempDir(), "scanners"), buildProgram(t, "../cmd/scanner"))
	if err != nil {
		t.Fatal(err)
	}
	return scanners
}

// buildProgram builds a program that runs in a container.
func buildProgram(t *testing.T, from string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", file, from)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, out))
	}
	return file
}

// baseContext names the image that `make build/base` makes.
func baseContext(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../build/base")
	if err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatalf("%v; make it with: make build/base", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("reading base image: %v", err)
	}
	return "oci-layout://" + dir + "@" + manifest.Manifests[0].Digest.String()
}

func buildApp(t *testing.T) string {
	t.Helper()
	app, err := os.ReadFile(buildProgram(t, "./testdata/app"))
	if err != nil {
		t.Fatal(err)
	}
	return string(app)
}
