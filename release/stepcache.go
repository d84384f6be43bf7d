package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/publish/steps"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Cache is where builds take steps from that other machines built, and keep theirs. None of it
// can fail a build: what is wrong with it is told.
type Cache struct {
	settings.Cache
	// Importer starts the builder that takes steps (see [buildkit.Options.Importer]).
	Importer func(context.Context) (*buildkit.Builder, error)
}

// cacheOf returns the cache that a version may use; nil for none. Who may write to none reads
// only.
func cacheOf(cfg settings.Settings, version string, importer func(context.Context) (*buildkit.Builder, error), reads bool) *Cache {
	cache := cfg.Build.Cache
	if !cache.Serves(version) || importer == nil {
		return nil
	}
	cache.ReadOnly = cache.ReadOnly || reads
	return &Cache{cache, importer}
}

// WithCache has the maker use the settings' cache, where the version that is built may.
func (m Maker) WithCache(version string, importer func(context.Context) (*buildkit.Builder, error)) Maker {
	m.Cache = cacheOf(m.Settings, version, importer, false)
	return m
}

// cache is the repository of the cache that the build may use; empty for none.
func (r *run) cache() string {
	if c := r.Settings.Build.Cache; c.Serves(r.Source.Version) {
		return c.Repository.Name()
	}
	return ""
}

// cacheNote says of a version what a plan says of the cache; empty without one.
func cacheNote(c settings.Cache, version string) string {
	switch {
	case !c.IsSet():
		return ""
	case c.Serves(version):
		return c.Tag().Name() + ": the build may take steps from it that others built, which record and provenance say"
	}
	return c.Tag().Name() + " is not used: " + version + " may be the version of a release, and build.cache.releases does not allow that"
}

// importing is the builder of a build, and which steps of others it takes.
type importing struct {
	builder *buildkit.Builder
	own     *buildkit.Builder // that takes none
	from    string            // empty: it takes none
	stop    func()
}

// takes reports whether the build took steps of others, so that these may be why it failed.
func (i *importing) takes(ctx context.Context) bool { return i.from != "" && ctx.Err() == nil }

// shares reports whether the builder that took steps is the one that takes none.
func (i *importing) shares() bool { return i.own.Name() != buildkit.Embedded }

func (i *importing) evidence() string {
	if i.from == "" {
		return ""
	}
	return ", with steps of " + i.from
}

// importer returns the builder that builds, and fetches what it takes. It is the maker's own
// where there is nothing to take.
func (m Maker) importer(ctx context.Context, src source.Source) *importing {
	own := &importing{m.Builder, m.Builder, "", func() {}}
	if m.Cache == nil || src.NoCache {
		return own
	}
	if own.shares() && !m.Cache.Releases {
		m.tellCache("is not used: the builder %s has one cache for all that it builds, releases too, and build.cache.releases does not allow that", own.own.Name())
		return own
	}
	scratch, err := os.MkdirTemp("", "mrelease-steps-*")
	if err != nil {
		m.tellCache("is not used: %v", err)
		return own
	}
	at := m.Cache.Tag()
	got, err := steps.Fetch(ctx, m.Registry, at, scratch, time.Duration(m.Cache.Timeout))
	var builder *buildkit.Builder
	closeBuilder := func() error { return nil }
	if err == nil && own.shares() {
		builder = m.Builder
	} else if err == nil {
		if builder, err = m.Cache.Importer(ctx); err == nil {
			closeBuilder = builder.Close
			builder = builder.Lend(m.Builder.Progress(), builder.Close)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			m.tellCache("is not used: %v", err)
		}
		_ = os.RemoveAll(scratch)
		return own
	}
	m.tellCache("%s: %d layers, %.1f MB, are there to be taken", got.Digest, got.Layers, float64(got.Size)/1e6)
	taking := builder.TakeFrom(buildkit.Steps{Folder: scratch, Digest: got.Digest})
	return &importing{taking, m.Builder, at.Digest(got.Digest.String()).Name(), func() {
		if err := errors.Join(closeBuilder(), os.RemoveAll(scratch)); err != nil {
			m.Teller.Note("stopping the builder: " + err.Error())
		}
	}}
}

// distrust has a build be made again without the steps of others.
func (m Maker) distrust(by *importing, failed error) {
	m.tellCache("is not used: the build with its steps failed (%v), and is made again without", failed)
	if err := by.builder.Distrust(); err != nil {
		m.tellCache("what was taken could not be marked as wrong: %v", err)
	}
	by.builder, by.from = by.own, ""
}

// keepSteps has the registry keep what was built.
func (m Maker) keepSteps(ctx context.Context, by *importing, src source.Source) {
	if m.Cache == nil || m.Cache.ReadOnly {
		return
	}
	begin := time.Now()
	if err := m.keep(ctx, by, src); err != nil && ctx.Err() == nil {
		m.tellCache("is not written: %v", err)
	} else if err == nil {
		m.tellCache("has the steps of this build, in %.1f s", time.Since(begin).Seconds())
	}
}

func (m Maker) keep(ctx context.Context, by *importing, src source.Source) error {
	scratch, err := os.MkdirTemp("", "mrelease-steps-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	begin, most := time.Now(), time.Duration(m.Cache.Timeout)
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	kept, err := by.builder.KeepSteps(limited, src.Source, string(m.Cache.Mode), filepath.Join(scratch, "steps"))
	if limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("the builder has not written it out in %s", most)
	}
	if err != nil {
		return err
	}
	return steps.Keep(ctx, m.Registry, m.Cache.Tag(), kept.Folder, kept.Digest, (most - time.Since(begin)).Round(time.Millisecond*100))
}

func (m Maker) tellCache(format string, args ...any) {
	m.Teller.Note("cache   " + m.Cache.Tag().Name() + " " + fmt.Sprintf(format, args...))
}
