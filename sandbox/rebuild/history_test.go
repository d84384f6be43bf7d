//go:build rebuild

package rebuild

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	publish "github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sandbox/registry"
)

// The steps of this Dockerfile write down the times and the hard links of what was
// copied and mounted, as tools that pack files and compilers of bytecode do.
const watching = `FROM iexechub/python-scone AS made
COPY how /how
RUN mkdir /out && echo 1 > /out/a && $(cat /how) /out/a /out/b
FROM iexechub/python-scone
WORKDIR /work/deep
COPY data /data
RUN ls -ln --time-style=+%s /data > /seen-data
COPY src /app
RUN ls -ln --time-style=+%s /app > /seen-app && python3 -m compileall -q /app
COPY --from=made /out /out
RUN ls -ln --time-style=+%s /out > /seen-out
RUN --mount=type=bind,source=data,target=/mnt ls -ln --time-style=+%s /mnt > /seen-mnt
COPY how src/app.py /srv/many/
COPY data/model /srv/many/
RUN ls -lnd --time-style=+%s /srv/many > /seen-many
ENTRYPOINT ["python3", "/app/app.py"]
`

// project is a git repository whose commits are built.
type project struct {
	w   *workshop
	dir string
	now time.Time // of the last commit
}

func newProject(t *testing.T, w *workshop) *project {
	t.Helper()
	p := &project{w: w, dir: filepath.Join(w.dir, "project"), now: time.Unix(1_700_000_000, 0)}
	must(t, os.Mkdir(p.dir, 0o755))
	p.git(t, "init", "--quiet")
	config, err := os.ReadFile("../../examples/hello-binaryfs/mrelease.yaml")
	must(t, err)
	for name, text := range map[string]string{
		"Dockerfile": watching, ".dockerignore": ".git\n", "mrelease.yaml": string(config), "base.yaml": w.baseConfig(t),
		"src/app.py": "print(1)\n", "how": "cp", "data/model": fmt.Sprint(rand.New(rand.NewPCG(1, 1)).Perm(100_000)),
	} {
		p.write(t, name, text)
	}
	p.commit(t)
	return p
}

func (p *project) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", p.dir, "-c", "user.name=A", "-c", "user.email=a@example.org"}, args...)...)
	date := strconv.FormatInt(p.now.Unix(), 10) + " +0000"
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	run(t, cmd)
}

func (p *project) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func (p *project) commit(t *testing.T) {
	t.Helper()
	p.now = p.now.Add(time.Hour)
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "--allow-empty", "-m", "change")
	p.git(t, "tag", p.name())
}

// name is the tag of the last commit.
func (p *project) name() string { return "c" + strconv.FormatInt(p.now.Unix(), 10) }

// release is a commit, with the flags that it is built with.
type release struct {
	commit string
	flags  []string
}

// history makes the commits of the issue: a README beside the first one, another
// app, the first app again; and the last one with a time that was asked for.
func (p *project) history(t *testing.T) []release {
	t.Helper()
	all := []release{{commit: p.name()}}
	for _, change := range []map[string]string{{"README": "more"}, {"src/app.py": "print(2)\n", "how": "ln"}} {
		for name, text := range change {
			p.write(t, name, text)
		}
		p.commit(t)
		all = append(all, release{commit: p.name()})
	}
	return append(all, release{p.name(), []string{"--source-date-epoch", "1650000000"}})
}

// site is a builder that keeps what it built.
type site struct {
	builder
	work string
	args []string
}

func (b builder) open(t *testing.T) site {
	t.Helper()
	work, err := os.MkdirTemp(b.w.dir, "site-*")
	must(t, err)
	s := site{builder: b, work: work, args: []string{"--state", filepath.Join(work, "state"), "--progress", "quiet", "--json"}}
	if b.daemon {
		s.args = append(s.args, "--builder", b.startDaemon(t, work))
	}
	return s
}

// make builds and measures one commit.
func (s site) make(t *testing.T, p *project, r release, flags ...string) result {
	t.Helper()
	p.git(t, "checkout", "--quiet", r.commit)
	image := filepath.Join(s.work, "image")
	config := []string{"--config", filepath.Join(p.dir, "mrelease.yaml"), "--config", filepath.Join(p.dir, "base.yaml")}
	var got, measured result
	build := slices.Concat([]string{"build", "-o", image}, config, s.args, r.flags, flags)
	s.mrelease(t, nil, s.work, &got, build...)
	s.mrelease(t, nil, s.work, &measured, slices.Concat([]string{"measure", image}, config, s.args)...)
	got.MRENCLAVE = measured.MRENCLAVE
	if got.MRENCLAVE == "" || got.Digest == "" {
		t.Fatalf("no result: %+v", got)
	}
	return got
}

func (w *workshop) kinds() []builder { return w.builders()[:2] } // embedded, and a daemon

// TestOrders builds commits in every order, each order by a builder of its own
// that keeps its cache, and compares with builders that built nothing before.
func TestOrders(t *testing.T) {
	w := newWorkshop(t)
	p := newProject(t, w)
	releases := p.history(t)
	cold := map[int]result{}
	for i, r := range releases {
		cold[i] = w.kinds()[0].open(t).make(t, p, r)
	}
	if cold[0] == cold[1] || cold[1].MRENCLAVE != cold[0].MRENCLAVE || cold[2].MRENCLAVE == cold[1].MRENCLAVE {
		t.Fatalf("the commits do not differ as they should: %+v", cold)
	}
	orders := permutations(len(releases))
	if testing.Short() { // each commit first and last once
		orders = [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}}
	}
	for n, order := range orders {
		kind := w.kinds()[n%2]
		t.Run(fmt.Sprintf("%v by %s", order, kind.name), func(t *testing.T) {
			s := kind.open(t)
			for _, i := range order {
				if got := s.make(t, p, releases[i]); got != cold[i] {
					t.Errorf("commit %d: got %+v, want %+v", i, got, cold[i])
				}
			}
			if got := s.make(t, p, releases[order[0]], "--no-cache"); got != cold[order[0]] {
				t.Errorf("commit %d without the cache: got %+v, want %+v", order[0], got, cold[order[0]])
			}
		})
	}
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for i := range n {
			all = append(all, slices.Insert(slices.Clone(shorter), i, n-1))
		}
	}
	return all
}

// TestForeignCaches builds with daemons that another program filled, from the same
// files with other times: one by a build of its own, one by a cache that it
// imported.
func TestForeignCaches(t *testing.T) {
	w := newWorkshop(t)
	p := newProject(t, w)
	releases := p.history(t)
	last := releases[2]
	want := w.kinds()[0].open(t).make(t, p, last)
	first, second := w.kinds()[1].open(t), w.kinds()[1].open(t)
	cache := filepath.Join(w.dir, "cache")
	w.buildctl(t, p, first, "--export-cache", "type=local,mode=max,dest="+cache)
	w.buildctl(t, p, second, "--import-cache", "type=local,src="+cache)
	for name, s := range map[string]site{"after a build of buildctl": first, "after buildctl imported a cache": second} {
		if got := s.make(t, p, last); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestBuildctlMakesTheSameConfiguration has BuildKit's own program build for the
// same time: what is set here, times and layers' digests among it, is what BuildKit
// sets. The compression differs, and so the manifest.
func TestBuildctlMakesTheSameConfiguration(t *testing.T) {
	w := newWorkshop(t)
	p := newProject(t, w)
	dockerfile, err := os.ReadFile("../../examples/hello-binaryfs/Dockerfile")
	must(t, err)
	p.write(t, "Dockerfile", string(dockerfile)+copying)
	p.commit(t)
	s := w.kinds()[1].open(t)
	got := s.make(t, p, release{p.name(), []string{"--source-date-epoch", fixedEpoch}})
	out := filepath.Join(w.dir, "buildctl")
	w.buildctl(t, p, w.kinds()[1].open(t), "--output", "type=oci,tar=false,rewrite-timestamp=true,dest="+out)
	config, err := openLayout(t, out).ConfigName()
	must(t, err)
	if config.String() != got.Unsealed {
		t.Errorf("configuration %s, and of buildctl %s", got.Unsealed, config)
	}
}

// copying has the ways of COPY in which a step is changed before it is built.
const copying = `
WORKDIR /work/deep
RUN mkdir -p folder /srv/real && echo text > folder/file && ln -s /srv/real /srv/alias
COPY --chown=1000:1000 --chmod=640 how src/app.py /srv/owned/
COPY --link how src/app.py /srv/linked/
COPY how /srv/alias/
COPY how /srv/single
COPY src /srv/src
COPY src /srv/src/
COPY no*such how /srv/wild/
COPY no*such /srv/nothing/
COPY how src .
COPY <<one <<two /srv/text/
1
one
2
two
COPY --from=iexechub/python-scone /etc/group /etc/passw* /srv/from/
ADD how src /srv/added/
RUN --mount=type=bind,source=src,target=/mnt --mount=type=bind,from=iexechub/python-scone,source=/etc,target=/other cat /mnt/app.py /other/passwd > /srv/mounted
`

// fixedEpoch is buildkit.FixedEpoch.
const fixedEpoch = "315619200"

// buildctl builds the project as it is checked out, and so that its steps are the
// same as ours but for the times of what they copy.
func (w *workshop) buildctl(t *testing.T, p *project, s site, args ...string) {
	t.Helper()
	args = append([]string{
		"--addr", s.args[len(s.args)-1], "build", "--progress", "quiet", "--frontend", "dockerfile.v0",
		"--local", "context=" + p.dir, "--local", "dockerfile=" + p.dir,
		"--oci-layout", "base=" + w.base, "--opt", "context:iexechub/python-scone=oci-layout://base@" + digestOf(t, w.base),
		"--opt", "build-arg:SOURCE_DATE_EPOCH=" + fixedEpoch,
	}, args...)
	run(t, exec.Command(filepath.Join(w.bin, "buildctl"), args...))
}

// TestAnUnchangedLayerIsNotPushed pushes two commits into one repository: of the
// layers that did not change, the second sends nothing.
func TestAnUnchangedLayerIsNotPushed(t *testing.T) {
	w := newWorkshop(t)
	p := newProject(t, w)
	releases := p.history(t)
	var sent sync.Map // digests of blobs
	stand := registry.New(registry.Options{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			sent.Store(r.URL.Query().Get("digest"), true)
		}
		stand.ServeHTTP(rw, r)
	}))
	defer server.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/app")
	must(t, err)
	s := w.kinds()[0].open(t)
	push := func(r release) []v1.Descriptor {
		s.make(t, p, r)
		image, err := publish.Client{}.Push(t.Context(), repo.Tag(r.commit), openLayout(t, filepath.Join(s.work, "image")))
		must(t, err)
		pulled, err := publish.Client{}.Pull(t.Context(), image)
		must(t, err)
		manifest, err := pulled.Manifest()
		must(t, err)
		return manifest.Layers
	}
	first := push(releases[0])
	for _, l := range first {
		if _, ok := sent.Load(l.Digest.String()); !ok {
			t.Fatalf("layer %s was not sent, or it is not seen here", l.Digest)
		}
	}
	sent.Clear()
	same := 0
	for i, l := range push(releases[2]) {
		_, again := sent.Load(l.Digest.String())
		if l.Digest == first[i].Digest {
			same++
		}
		if unchanged := l.Digest == first[i].Digest; unchanged == again {
			t.Errorf("layer %d: unchanged %t, sent %t", i, unchanged, again)
		}
	}
	if same != 8 { // the two of the base, WORKDIR, the data thrice and what steps saw of it twice
		t.Errorf("%d layers are the same", same)
	}
}

func openLayout(t *testing.T, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	return image
}

// TestWalk goes over twenty commits at random, and builds each with a builder that
// built the earlier ones and with one that built nothing.
func TestWalk(t *testing.T) {
	const seed = 11
	steps := 20
	if testing.Short() {
		steps = 5
	}
	w := newWorkshop(t)
	p := newProject(t, w)
	random := rand.New(rand.NewPCG(seed, seed))
	warm := w.kinds()[0].open(t)
	visited := []release{{commit: p.name()}}
	for i := range steps {
		p.git(t, "checkout", "--quiet", visited[len(visited)-1].commit)
		var flags []string
		switch random.IntN(4) {
		case 0:
			p.write(t, "src/app.py", fmt.Sprintf("print(%d)\n", random.IntN(3)))
		case 1:
			p.write(t, "README", strconv.Itoa(i))
		case 2:
			flags = []string{"--source-date-epoch", strconv.Itoa(1_600_000_000 + random.IntN(5)*100_000_000)}
		default:
			p.git(t, "checkout", "--quiet", visited[random.IntN(len(visited))].commit, "--", ".")
		}
		p.commit(t)
		now := release{p.name(), flags}
		visited = append(visited, now)
		got, want := warm.make(t, p, now), w.kinds()[0].open(t).make(t, p, now)
		if got != want {
			t.Errorf("commit %d %v: warm %+v, cold %+v", i, flags, got, want)
		}
	}
}
