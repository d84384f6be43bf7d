package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/owners"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

func (a *app) verifyCommand() *cobra.Command {
	var trusted trusted
	c := &cobra.Command{
		Use:   "verify [TARGET]",
		Short: "Check a release, from its app's address, its image, its record or a file that was saved",
		Long: `verify goes from what you hold of a release through each of its links: the app on the
chain, the record that the app's owner signed, the image and each of its layers, the
image's signature and provenance, the measurement (by running the image again, unless
--no-run) with the reference values that are attested of it, the SBOM that the
record names, VEX documents, and the order. Of each link it says by whose word it holds: proved (computed
here), signed (and by whom), or asserted (by whom: nobody proves it). What the owner
states and nothing outside says is told, too.
TARGET is an app's address (0x…) on the chain of --chain, a name of ENS where the chain has
that, an image by its digest (docker.io/acme/hello@sha256:…), a record's file (one that is
named as any of these: ./FILE) or its URL.
From an address and from an image the record is found beside the image. No wallet, key or
login is needed, but for the registry where the image is not public.
A configuration is read only when it is named, since that of the current folder may be
anybody's: for the node and the market that are asked, and for a chain that is not built in.
--save keeps all that was answered in a file, with a proof of the app and its order against a
block of the chain; --bundle verifies from that file, without any network, as of then, and
without the measurement and large layers: --block gives the block's hash, from a source of
your own, without which nothing is known of the chain (12).
--policy FILE says what is accepted beside that all links hold: owners, repositories, signers,
enclaves, what must be attested, and the price of a run.
` + owners.Long + `
Exit codes: 0 all holds; 2 no such record; 11 measurement; 12 record (also: none by the owner), image, signature, provenance; 13 chain; 14 order; 15 all but the measurement; 20 registry or market, 22 node; 40 policy.`,
		Example: "  mrelease verify 0x… --chain bellecour\n  mrelease verify --owner 0x… --chain bellecour\n  mrelease verify dist/record.json\n  mrelease verify --key cosign.pub dist/record.json\n  mrelease verify --trusted-root trusted-root.json dist/record.json\n  mrelease verify --config chains.yaml dist/record.json\n  mrelease verify 0x… --chain arbitrum-one --save evidence.json\n  mrelease verify --bundle evidence.json --block 0x…",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := trusted.Check(c, args); err != nil {
				return err
			}
			return a.runVerify(c.Context(), strings.Join(args, ""), &trusted)
		},
	}
	c.Flags().StringArrayVarP(&a.config, "config", "f", nil, "configuration file that says which node, market and chain to ask; with several, later ones override (default: none)")
	a.builderFlags(c)
	trusted.Add(c)
	c.Flags().StringVar(&a.build.chain, "chain", "", "chain of the address")
	c.Flags().StringVar(&trusted.evidence.Save, "save", "", "`FILE` to keep what was answered in, for --bundle; written unless a link fails")
	c.Flags().StringVar(&trusted.evidence.Bundle, "bundle", "", "`FILE` of --save to verify from, in the place of TARGET and without any network")
	c.Flags().TextVar(&trusted.evidence.Block, "block", trusted.evidence.Block, "`HASH` of the block at which the file must prove app and order (default: the file's, which proves nothing to you)")
	c.Flags().BoolVar(&trusted.noRun, "no-run", false, "run nothing: leave the measurement out, and end with 15 when all else holds")
	return c
}

// trusted is what whoever verifies trusts.
type trusted struct {
	owners.Flags
	noRun    bool
	evidence release.Evidence
}

func (a *app) runVerify(ctx context.Context, given string, t *trusted) (err error) {
	src := settings.Sources{Files: a.config, Getenv: a.getenv, Flags: map[string]string{}}
	if a.build.chain != "" {
		src.Flags["chain"] = a.build.chain
	}
	cfg, err := settings.Load(src, settings.Purpose{})
	if err != nil {
		return err
	}
	if t.Owner != "" {
		told := func(err error) (code, text string) { return explain(err).Code, shortened(err.Error()) }
		p := owners.Program{Program: a.shared(), Registry: a.registry(), Config: a.config, Progress: a.story.progress(), Explain: told}
		return p.Verify(ctx, cfg, &t.Flags, a.build.chain != "")
	}
	target, err := t.evidence.Target(ctx, given)
	if err != nil {
		return err
	}
	anchors, err := t.Read()
	if err != nil {
		return err
	}
	world, err := t.evidence.Open(ctx, cfg, &target, a.registry(), a.build.chain != "")
	if err != nil {
		return err
	}
	world.Progress = a.story.progress()
	subject, err := target.Subject(ctx, world)
	if err != nil {
		return err
	}
	anchors.Hold(&world)
	world.NoRunner, world.Timeout = &measure.NotRunError{Flag: "--no-run"}, time.Duration(cfg.Enclave.Timeout)
	if none := t.evidence.Runner(); none != nil {
		world.NoRunner, given = none, t.evidence.Bundle
	} else if !t.noRun {
		builder, missing, err := a.openBuilderIfAny(ctx, settings.Settings{})
		if err != nil {
			return err
		}
		defer a.closeBuilder(builder)
		if world.NoRunner = missing; missing == nil {
			world.Runner = builder
			kept := a.keep()
			kept.Progress = world.Progress // one line for both
			defer func() { err = errors.Join(err, kept.Close()) }()
			world.Registry = world.Registry.Keeping(kept)
		}
	}
	a.page.BesideRecord(string(settings.Defaults().Record)) // not beside one that is kept somewhere
	a.page.Record = given
	err = a.verify(ctx, world, subject, page.NewVerification(page.NewAsked(world, a.config), subject, given))
	return t.evidence.Keep(ctx, world, subject, a.story.note, err)
}

func (a *app) verify(ctx context.Context, world record.World, subject record.Subject, answer page.Verification) error {
	a.story.note("asking  %s", answer.Asked)
	var all []error
	_ = record.Verify(ctx, world, subject, func(c record.Check) { // each error is told with its check
		var code, text string
		if c.Err != nil {
			code, text = explain(c.Err).Code, shortened(c.Err.Error())
		}
		all = append(all, c.Err)
		answer.Add(c, code, text)
		a.story.check(c)
	})
	if len(answer.Stated) > 0 {
		a.story.note("not checked, stated by the app's owner alone: %s", strings.Join(answer.Stated, ", "))
	}
	err := answer.Conclude(all)
	if err != nil {
		answer.Code = explain(err).Code
	}
	if err := a.printVerdict(answer); err != nil {
		return err
	}
	if err != nil {
		return usage.ToldError{Err: err}
	}
	outputs, err := answer.Outputs(a.page)
	return a.answerJob(answer.Summary(a.context()), outputs, err)
}

func (a *app) printVerdict(answer page.Verification) error {
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err := fmt.Fprintln(a.stdout, answer.Verdict())
	return err
}
