package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// large measures images that carry a lot: a large file, and many small ones.
func large(ctx context.Context, b *bench) (rows []row, err error) {
	for _, measure := range []func(context.Context, *bench) ([]row, error){largeFile, manyFiles, besideLargeFile} {
		more, err := measure(ctx, b)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// largeFile compares builds from nothing that copy a large file, with both compressions.
func largeFile(ctx context.Context, b *bench) (rows []row, err error) {
	p, size, err := b.largeProject()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	for _, c := range []struct {
		compression string
		least       float64
	}{{"gzip", 3}, {"zstd", 5}} {
		measured, err := b.takeTurns(
			func() ([]cost, error) { return b.fromNothing(ctx, p, c.compression, once) },
			func() ([]cost, error) { return b.rawFromNothing(ctx, p, c.compression, once) },
		)
		if err != nil {
			return nil, err
		}
		ours, theirs := measured[0][0], measured[1][0]
		name := "COPY of " + size + ", cold, " + c.compression
		wall := compare(name, ours, theirs).faster(c.least)
		wall.Note = "half of it random, half text; the others' time includes the start of their daemon"
		rows = append(rows, wall, compareCPU(name, ours, theirs).faster(c.least), peakOf(name, ours).atMost(200))
	}
	return rows, nil
}

// manyFiles compares builds that copy many small files: from nothing, with one file
// changed, and of another version.
func manyFiles(ctx context.Context, b *bench) (rows []row, err error) {
	p, err := b.newProject()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	count := int(60_000 * b.scale)
	if err := errors.Join(writeMany(filepath.Join(p.dir, "many"), count), p.touch("Dockerfile", "COPY many /many\n")); err != nil {
		return nil, err
	}
	measured, err := b.takeTurns(
		func() ([]cost, error) { return b.fromNothing(ctx, p, "gzip", again) },
		func() ([]cost, error) { return b.rawFromNothing(ctx, p, "gzip", again) },
	)
	if err != nil {
		return nil, err
	}
	ours, theirs := measured[0], measured[1]
	name := fmt.Sprintf("%d files of 300 bytes, ", count)
	version := compare(name+"another version", ours[2], theirs[2])
	version.Note = "nothing else changed; the others build the same again"
	return []row{
		compare(name+"cold", ours[0], theirs[0]).atMostTimes(1.2), peakOf(name+"cold", ours[0]).atMost(200),
		compare(name+"one changed", ours[1], theirs[1]).atMostTimes(1.2), version.atMostTimes(1.2),
	}, nil
}

// A round is what is built one after the other, with the builder that there is.
type round func(p project, build func(version string) (cost, error)) ([]cost, error)

func once(_ project, build func(string) (cost, error)) ([]cost, error) {
	c, err := build("1.0.0")
	return []cost{c}, err
}

func again(p project, build func(string) (cost, error)) ([]cost, error) {
	first, err := build("1.0.0")
	if err != nil {
		return nil, err
	}
	if err := p.touch("many/0/0", time.Now().String()); err != nil {
		return nil, err
	}
	changed, err := build("1.0.0")
	if err != nil {
		return nil, err
	}
	version, err := build("1.0.1")
	return []cost{first, changed, version}, err
}

// takeTurns runs the sides in turns, and returns the costs of each side's builds.
func (b *bench) takeTurns(sides ...func() ([]cost, error)) ([][][]cost, error) {
	all := make([][][]cost, len(sides))
	for range b.runs {
		for i, side := range sides {
			costs, err := side()
			if err != nil {
				return nil, err
			}
			if all[i] == nil {
				all[i] = make([][]cost, len(costs))
			}
			for n, c := range costs {
				all[i][n] = append(all[i][n], c)
			}
		}
	}
	return all, nil
}

// fromNothing begins with an empty builder.
func (b *bench) fromNothing(ctx context.Context, p project, compression string, r round) (costs []cost, err error) {
	state := filepath.Join(b.dir, "large-state")
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	return r(p, func(version string) (cost, error) {
		cmd, err := b.mrelease(ctx, p, state, "build: {compression: "+compression+"}\n", "build", "--builder", "embedded", "--version", version)
		if err != nil {
			return cost{}, err
		}
		_, c, err := timed(cmd)
		return c, errors.Join(err, os.RemoveAll(filepath.Join(p.dir, "dist")))
	})
}

// rawFromNothing starts a daemon that has nothing yet, whose start counts to the first
// build.
func (b *bench) rawFromNothing(ctx context.Context, p project, compression string, r round) (costs []cost, err error) {
	root, start := filepath.Join(b.dir, "large-daemon"), time.Now()
	d, err := b.startDaemon(ctx, root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(root)) }()
	started := cost{Wall: time.Since(start)}
	costs, err = r(p, func(string) (cost, error) {
		return d.during(func() (cost, error) { return b.rawLayout(ctx, d, p, compression) })
	})
	if err == nil {
		costs[0] = costs[0].and(started)
	}
	return costs, err
}

// rawLayout has buildctl build a layout with the options that mrelease has.
func (b *bench) rawLayout(ctx context.Context, d *daemon, p project, compression string) (cost, error) {
	image := filepath.Join(b.dir, "large-image")
	cmd, err := b.buildctl(ctx, d.address, p.dir, "type=oci,tar=false,rewrite-timestamp=true,compression="+compression+",dest="+image, "--opt", "attest:provenance=mode=min,version=v1")
	if err != nil {
		return cost{}, err
	}
	_, c, err := timed(cmd)
	return c, errors.Join(err, os.RemoveAll(image))
}

// compareCPU makes a row of the processor's time of both sides' runs.
func compareCPU(name string, ours, theirs []cost) row {
	cpu := func(c cost) float64 { return c.CPU.Seconds() }
	r := row{Name: name + ", processor time", Unit: "s", Ours: values(pick(ours, cpu)...), Theirs: values(pick(theirs, cpu)...)}
	r.Ratio = r.Theirs.Median / r.Ours.Median
	return r
}

func peakOf(name string, ours []cost) row {
	return row{Name: name + ", peak memory", Unit: "MB", Ours: values(times(ours).Peak)}
}

// besideLargeFile releases with one small file changed, beside a large file that did
// not change, and without that.
func besideLargeFile(ctx context.Context, b *bench) (rows []row, err error) {
	with, size, err := b.largeProject()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, with.remove()) }()
	without, err := b.newProject()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, without.remove()) }()
	pushed := newMeter("http://" + os.Getenv("SANDBOX_REGISTRY"))
	defer pushed.Close()
	measured, err := alternate(b.runs,
		func() (cost, error) { pushed.take(); return b.changedRelease(ctx, with, pushed) },
		func() (cost, error) { pushed.take(); return b.changedRelease(ctx, without, pushed) },
	)
	if err != nil {
		return nil, err
	}
	small := pushed.take()
	if _, err := b.changedRelease(ctx, with, pushed); err != nil {
		return nil, err
	}
	name := "release with one file changed beside an unchanged one of " + size
	more := row{Name: name + ", more than without", Unit: "s"}
	var differences []float64
	for i, c := range measured[0] {
		differences = append(differences, max(0, (c.Wall-measured[1][i].Wall).Seconds()))
	}
	more.Ours = values(differences...)
	a, w := times(measured[0]), times(measured[1])
	more.Note = fmt.Sprintf("%.2f s and %.2f s of CPU, against %.2f s and %.2f s", a.Median, a.CPU, w.Median, w.CPU)
	sent := row{Name: name + ", pushed more than without", Unit: "MB", Ours: values(max(0, megabytes(pushed.take()-small)))}
	return []row{more.atMost(0.5), sent.atMost(0.1), peakOf(name, measured[0]).atMost(200)}, nil
}

// changedRelease releases the next version of a project, with one file changed.
func (b *bench) changedRelease(ctx context.Context, p project, registry *meter) (cost, error) {
	number := b.next()
	if err := p.touch("src/app.py", fmt.Sprintf("# %d\n", number)); err != nil {
		return cost{}, err
	}
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox-v5\nwallet: {keystore: %q}\n",
		registry.host(), p.name, p.name, filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "wallet.json"))
	cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "large-releases"), settings, "release", "--version", fmt.Sprintf("2.0.%d", number))
	if err != nil {
		return cost{}, err
	}
	_, c, err := timed(cmd)
	return c, err
}

// largeProject is the example with a large file.
func (b *bench) largeProject() (p project, size string, err error) {
	if p, err = b.newProject(); err != nil {
		return p, "", err
	}
	bytes := int64(b.scale * (1 << 30))
	err = errors.Join(writeHalves(filepath.Join(p.dir, "data"), bytes), p.copyFirst("data"))
	return p, fmt.Sprintf("%d MB", bytes>>20), err
}

// copyFirst has the image hold a file below all that the example puts into it.
func (p project) copyFirst(file string) error {
	path := filepath.Join(p.dir, "Dockerfile")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("changing example: %w", err)
	}
	const from = "FROM iexechub/python-scone\n"
	if !strings.Contains(string(text), from) {
		return fmt.Errorf("changing example: no %q in its Dockerfile", from)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), from, from+"COPY "+file+" /"+file+"\n", 1)), 0o644)
}

// meter stands before a registry and counts the bytes that are sent to it, and by it.
type meter struct {
	*httptest.Server
	sent, served atomic.Int64
}

func newMeter(to string) *meter {
	m := &meter{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if u, err := url.Parse(to); err == nil { // the sandbox's own words
			r.SetURL(u)
		}
		r.Out.Host = r.In.Host // registries answer with the address that they were asked at
		if r.Out.Body != nil {
			r.Out.Body = metered{r.Out.Body, &m.sent}
		}
	}, ModifyResponse: func(r *http.Response) error {
		r.Body = metered{r.Body, &m.served}
		return nil
	}}
	m.Server = httptest.NewServer(http.Handler(proxy))
	return m
}

// host is its address, as an image's name has it.
func (m *meter) host() string { return strings.TrimPrefix(m.URL, "http://") }

// take returns the count of what was sent to the registry, and begins anew.
func (m *meter) take() int64 { return m.sent.Swap(0) }

// takeServed is take for what the registry sent.
func (m *meter) takeServed() int64 { return m.served.Swap(0) }

type metered struct {
	io.ReadCloser
	count *atomic.Int64
}

// Read implements io.Reader.
func (r metered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.count.Add(int64(n))
	return n, err
}
