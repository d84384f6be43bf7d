package main

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

func (a *app) acceptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "accept [RECORD|IMAGE]",
		Short: "Accept what the enclave is measured from, for the releases to come",
		Long: `accept writes ` + lock.Name + ` beside the configuration: the measured inputs and
the measurement that releases must have from now on. Commit the file: a change of
it is what a review of a release looks at. Without argument the source is built
and measured; with the record of a release, or an image in a registry or the
folder of an OCI layout, that is accepted.`,
		Example: "  mrelease accept\n  mrelease accept dist/record.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.accept(c.Context(), args) },
	}
	a.addBuildFlags(c)
	a.noCacheFlag(c)
	return c
}

// acceptAnswer is the answer of mrelease accept --json.
type acceptAnswer struct {
	Schema  string        `json:"schema"`
	Lock    string        `json:"lock"` // path
	Created bool          `json:"created"`
	Changes []lock.Change `json:"changes"`
}

func (a *app) accept(ctx context.Context, args []string) error {
	cfg, err := a.load(settings.Purpose{Build: len(args) == 0, App: true})
	if err != nil {
		return err
	}
	before, err := release.ReadLock(a.lockPath(cfg))
	if err := errors.Join(err, release.TryOutput(a.lockPath(cfg))); err != nil {
		return err
	}
	var now lock.Lock
	read := func(ctx context.Context) (err error) {
		now, err = a.describeAccepted(ctx, cfg, args)
		return err
	}
	if len(args) == 0 { // a build takes as long as it takes
		err = read(ctx)
	} else {
		err = bounds.Within(ctx, bounds.Act, "accepting", read)
	}
	if err != nil {
		return err
	}
	answer := acceptAnswer{Schema: "mrelease.accept/v1", Lock: a.lockPath(cfg), Created: before == nil, Changes: []lock.Change{}}
	if before != nil {
		if err := now.CheckSecurityVersion(*before); err != nil {
			return err
		}
		answer.Changes = append(answer.Changes, lock.Drift(*before, now)...)
		now = now.Keep(*before)
	}
	if err := now.WriteFile(answer.Lock); err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, answer)
	}
	for _, c := range answer.Changes {
		a.story.note("%s", c)
	}
	if !answer.Created && len(answer.Changes) == 0 {
		a.story.note("nothing changed")
	}
	_, err = fmt.Fprintln(a.stdout, answer.Lock)
	return err
}

// describeAccepted makes the lock of what is accepted.
func (a *app) describeAccepted(ctx context.Context, cfg settings.Settings, args []string) (l lock.Lock, err error) {
	if len(args) == 1 && isFile(args[0]) {
		return a.describeRecord(ctx, cfg, args[0])
	}
	for _, image := range args {
		if err := release.CheckReference(cfg, image); err != nil {
			return lock.Lock{}, err
		}
	}
	kept := a.keep()
	defer func() { err = errors.Join(err, kept.Close()) }()
	m, err := a.measured(ctx, cfg, args, kept)
	if err != nil {
		return lock.Lock{}, err
	}
	return a.describe(ctx, cfg, m.image, record.NewEnclave(m.enclave, m.spec))
}

func (a *app) describe(ctx context.Context, cfg settings.Settings, image v1.Image, enclave record.Enclave) (l lock.Lock, err error) {
	err = a.story.step("describe", func() (string, error) {
		l, err = release.Describe(ctx, cfg, image, enclave)
		return printable.Count(len(l.Program), "program or library file") + ", " + printable.Count(len(l.Packages), "package"), err
	})
	return l, err
}

// describeRecord takes the measurement from the record, which the app's owner
// signed, and the rest from the image that it names.
func (a *app) describeRecord(ctx context.Context, cfg settings.Settings, path string) (lock.Lock, error) {
	rec, err := release.ReadRecord(path)
	if err == nil {
		err = release.CheckRecorded(cfg, rec)
	}
	if err != nil {
		return lock.Lock{}, err
	}
	image, digest, err := release.OpenRecorded(ctx, a.registry(), rec)
	if err != nil {
		return lock.Lock{}, err
	}
	l, err := a.describe(ctx, cfg, image, rec.Enclave)
	l.Image = rec.Image.Reference + "@" + digest.DigestStr()
	return l, err
}
