package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/canaries"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/logins"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// buildFlags are the flags of the commands that build.
type buildFlags struct {
	context, image, chain string
	builder, state        string
	version               string
	epoch, commit         string
	allowDirty            bool
	progress              string
	noCache, all, foreign bool
	canary                canaries.Flags
	only                  []string
}

// A command has the flags that do something there, and no other.

// addBuildFlags are those of the commands that build.
func (a *app) addBuildFlags(c *cobra.Command) {
	a.sourceFlags(c)
	a.builderFlags(c)
	c.Flags().StringVar(&a.build.progress, "progress", "auto", "show the build as: auto (on a terminal what runs, in CI all in a fold, else a file), plain, tty, quiet")
}

func (a *app) noCacheFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.build.noCache, "no-cache", false, "build every step anew")
}

// sourceFlags say what is built.
func (a *app) sourceFlags(c *cobra.Command) {
	a.configFlag(c)
	a.contextFlag(c)
	c.Flags().StringVar(&a.build.version, "version", "", "version of the release (default: the git tag at HEAD)")
	c.Flags().StringVar(&a.build.epoch, "source-date-epoch", "", "seconds since 1970 that the image and its files carry (default: $SOURCE_DATE_EPOCH, else the commit's time for the image, and for all files one time that never changes)")
}

func (a *app) contextFlag(c *cobra.Command) {
	a.onlyFlag(c)
	c.Flags().StringVar(&a.build.context, "context", "", "folder to build (overrides build.context)")
}

// targetFlags say what is released to where.
func (a *app) targetFlags(c *cobra.Command) {
	c.Flags().StringVar(&a.build.image, "image", "", "repository to push to (overrides image)")
	c.Flags().StringVar(&a.build.chain, "chain", "", "chain to register on (overrides chain)")
}

func (a *app) commitFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.build.commit, "commit", "", "commit that the source is, where no git repository says so (default: $MRELEASE_COMMIT)")
}

// releaseFlags are those of a release and of its plan.
func (a *app) releaseFlags(c *cobra.Command) {
	a.allFlag(c)
	a.targetFlags(c)
	a.commitFlag(c)
	a.build.canary.Add(c)
	c.Flags().BoolVar(&a.build.foreign, "foreign", false, "retire orders of earlier releases too that mrelease did not make")
	c.Flags().BoolVar(&a.build.allowDirty, "allow-dirty", false, "release a source that differs from its commit, or is of none; the record says so")
}

// onlyFlag chooses among the apps of a configuration that has several.
func (a *app) onlyFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&a.build.only, "only", nil, "app that is meant, where the configuration has several; may be repeated (default: all)")
}

func (a *app) allFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.build.all, "all", false, "show all of a drift from "+lock.Name+", not its causes alone")
}

func (a *app) builderFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.build.builder, "builder", a.getenv("MRELEASE_BUILDER"), "embedded, docker, or the address of a buildkitd, or several, joined by commas (default: $BUILDKIT_HOST, else builders of the configuration, else embedded, else docker)")
	f.StringVar(&a.build.state, "state", a.getenv("MRELEASE_STATE"), "folder of the embedded builder's cache (default: mrelease in the user's cache folder)")
	f.Lookup("builder").DefValue, f.Lookup("state").DefValue = "", "" // the help says what holds without them
}

// sources are what the configuration is read from.
func (a *app) sources() settings.Sources {
	set := map[string]string{}
	for key, value := range map[string]string{"build.context": a.build.context, "image": a.build.image, "chain": a.build.chain} {
		if value != "" {
			set[key] = value
		}
	}
	a.build.canary.Set(set)
	return settings.Sources{Files: a.configFiles(), Getenv: a.getenv, Flags: set, Only: a.build.only}
}

func (a *app) load(need settings.Purpose) (settings.Settings, error) {
	return settings.Load(a.sources(), need)
}

// sourceOptions adds what the flags say.
func (a *app) sourceOptions(o source.Options) source.Options {
	o.Getenv, o.Mask = a.getenv, a.story.ci.Mask
	o.Version, o.Epoch, o.NoCache = a.build.version, a.build.epoch, a.build.noCache
	o.Commit, o.AllowDirty, o.Files = a.build.commit, a.build.allowDirty, a.configFiles()
	o.Lock, o.Keychain = a.lockPath(o.Settings), a.keychain()
	for _, name := range o.Settings.Apps.LockNames(lock.Name) {
		o.Locks = append(o.Locks, filepath.Join(filepath.Dir(o.Lock), name))
	}
	return o
}

// readSource reads the source, after the lock: one that is broken is found before
// the build rather than after it.
func (a *app) readSource(ctx context.Context, o source.Options) (source.Source, error) {
	if _, err := release.ReadLock(a.lockPath(o.Settings)); err != nil {
		return source.Source{}, err
	}
	return source.Read(ctx, a.sourceOptions(o))
}

// keychain has the logins of registries. Credential helpers get no secret that the
// configuration names, whatever else is wrong with that.
func (a *app) keychain() logins.Keychain {
	return logins.Keychain{Getenv: a.getenv, Withhold: settings.Read(a.sources()).SecretVariables()}
}

func (a *app) registry() registry.Client { return registry.Client{Keychain: a.keychain()} }

// ring holds the keys that settings name.
func (a *app) ring(s settings.Settings) keys.Ring {
	return keys.Ring{Sign: s.Sign, Wallet: s.Wallet, Enclave: s.Enclave.Key, Secret: s.Secret, Getenv: a.getenv, Mask: a.story.ci.Mask, Token: ci.Tokens(a.getenv), Tell: a.story.Note}
}

// lockPath is where the lock of an app is: beside the first configuration file.
func (a *app) lockPath(of settings.Settings) string {
	dir := "."
	if files := a.configFiles(); len(files) > 0 {
		dir = filepath.Dir(files[0])
	}
	return filepath.Join(dir, of.Apps.LockName(lock.Name))
}
