// Package owners is mrelease verify --owner: all apps of an owner in one call.
package owners

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/publish/owned"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// Long is what the help of mrelease verify says of it.
const Long = `--owner verifies all apps of an owner instead, as of one block, a line for each: what holds,
what fails first and why, what no record explains, what is on sale no more, and of whom
nothing could be learned, which stops no other app. No image is run, and no layer read unless
--layers. It ends with the worst of: a link that fails, an app that could not be asked about
(20, 22), one without a record (12), one that is on sale no more (14), and 15.`

// Flags are those of all apps of an owner, and of whom whoever verifies trusts.
type Flags struct {
	Owner  string // address; empty: one release is verified
	Layers bool
	Signer record.Trusted
	Least  measure.Trust
	Bases  []string
	Policy string // file
}

// Add adds the flags to a command.
func (f *Flags) Add(c *cobra.Command) {
	c.Flags().StringVar(&f.Owner, "owner", "", "`ADDRESS` whose apps are verified, all of them, in the place of TARGET")
	_ = c.RegisterFlagCompletionFunc("owner", cobra.NoFileCompletions) // which fails for a flag that is not there
	c.Flags().BoolVar(&f.Layers, "layers", false, "with --owner: read all layers, too")
	c.Flags().StringVar(&f.Signer.Key, "key", "", "file of the public key that the image must be signed with (default: the one in the record, which the app's owner signed)")
	c.Flags().StringVar(&f.Signer.Identity.Subject, "identity", "", "identity that must have signed the image, with or without its @REF (default: the one in the record, which the app's owner signed)")
	c.Flags().StringVar(&f.Signer.Identity.Issuer, "issuer", "", "OIDC issuer that the identity's certificate must name (default: likewise)")
	c.Flags().StringVar(&f.Signer.Root, "trusted-root", "", "file of the authorities that may certify identities, in Sigstore's JSON")
	c.Flags().TextVar(&f.Least, "trust", measure.Trust(""), "`GRADE` that the measurement must have at least: computed, known or stated (default: what the record says)")
	c.Flags().StringVar(&f.Policy, "policy", "", "`FILE` that says what is accepted (docs/policy.md), in the place of --key, --identity, --issuer, --trusted-root, --trust and --base")
	c.Flags().StringArrayVar(&f.Bases, "base", nil, "digest (sha256:…) of a base image whose programs are trusted, in place of the one that the record names; may be repeated")
}

// anchors are the flags in whose place a policy stands.
func anchors() []string {
	return []string{"key", "identity", "issuer", "trusted-root", "trust", "base"}
}

// ofOne are the flags that only make sense for one release.
func ofOne() []string {
	return []string{"save", "bundle", "block", "trust", "base", "builder", "state"}
}

// Check refuses what does not go together.
func (f *Flags) Check(c *cobra.Command, args []string) error {
	command := c.CommandPath()
	for _, flag := range anchors() {
		if f.Policy != "" && c.Flags().Changed(flag) {
			return usage.Errorf(command, "--%s stands beside --policy, which says the same of many: write it there", flag)
		}
	}
	if f.Owner == "" {
		if f.Layers {
			return usage.Errorf(command, "--layers is for --owner: of one release all layers are read")
		}
		return nil
	}
	if len(args) > 0 {
		return usage.Errorf(command, "--owner takes the place of TARGET, and both are given: %s", args[0])
	}
	given := slices.DeleteFunc(ofOne(), func(flag string) bool { return !c.Flags().Changed(flag) })
	if len(given) > 0 {
		return usage.Errorf(command, "--%s is for one release, and --owner is for all of an owner's: give the app's address in its place", given[0])
	}
	return nil
}

// Read reads the files of whom whoever verifies trusts, and returns what they have a
// verification rest on.
func (f *Flags) Read() (a Anchors, err error) {
	if f.Policy != "" {
		return readPolicy(f.Policy)
	}
	a.trust = f.Least
	if a.bases, err = record.ParseBases(f.Bases); err != nil {
		return a, usage.Errorf("mrelease verify", "--base: %w", err)
	}
	if a.signer, err = f.Signer.Read(); errors.Is(err, record.ErrKeyAndIdentity) {
		err = usage.Errorf("mrelease verify", "%w", err)
	}
	return a, err
}

// Program is what verifying takes of the program.
type Program struct {
	usage.Program
	Registry registry.Client
	Config   []string // files that say which node, market and chain to ask
	Progress func(text string)
	Explain  func(error) (code, text string)
}

// Verify verifies the apps, and tells of each. Errors: *release.TargetError, *owned.NoneError,
// *owned.Error, those of [owned.Verify] and of connecting.
func (p Program) Verify(ctx context.Context, cfg settings.Settings, f *Flags, byFlag bool) error {
	target, err := release.ReadOwner(f.Owner)
	if err != nil {
		return err
	}
	anchors, err := f.Read()
	if err != nil {
		return err
	}
	w, err := (&release.Evidence{}).Open(ctx, cfg, &target, p.Registry, byFlag)
	if err != nil {
		return err
	}
	skipped := &measure.NotRunError{Flag: "--owner"}
	anchors.Hold(&w)
	w.NoRunner = skipped
	if !f.Layers {
		w.NoLayers = skipped
	}
	a := &answer{Program: p, asked: page.NewAsked(w, p.Config), owner: target.Address()}
	p.Note("asking  %s", a.asked)
	tally, err := owned.Verify(ctx, w, a.owner, func(app owned.App, block node.Block) error { return a.add(app, block) })
	return a.end(tally, err)
}
