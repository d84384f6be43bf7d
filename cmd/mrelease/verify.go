package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

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
		Use:   "verify RECORD",
		Short: "Check a record against the registry, the chain and the market",
		Long: `verify checks that the app's owner signed the record, and looks up all that it
states: the app on the chain, the image and each of its layers, the image's
signature and provenance, the measurement (by running the image again), and the
order. What the owner states and nothing outside says is told, too.
The chain is the built-in one of the record's name. A configuration is read only when
it is named, since that of the current folder may be anybody's: for the node and the
market that are asked, and for a chain that is not built in.
Exit codes: 0 all holds; 2 no such record; 11 measurement; 12 record, image, signature, provenance; 13 chain; 14 order; 15 all but the measurement: no builder; 20 registry or market, 22 node.`,
		Example: "  mrelease verify dist/record.json\n  mrelease verify --key cosign.pub dist/record.json\n  mrelease verify --trusted-root trusted-root.json dist/record.json\n  mrelease verify --config chains.yaml dist/record.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runVerify(c.Context(), args[0], trusted)
		},
	}
	c.Flags().StringArrayVarP(&a.config, "config", "f", nil, "configuration file that says which node, market and chain to ask; with several, later ones override (default: none)")
	a.builderFlags(c)
	c.Flags().StringVar(&trusted.signer.Key, "key", "", "file of the public key that the image must be signed with (default: the one in the record, which the app's owner signed)")
	c.Flags().StringVar(&trusted.signer.Identity.Subject, "identity", "", "identity that must have signed the image, with or without its @REF (default: the one in the record, which the app's owner signed)")
	c.Flags().StringVar(&trusted.signer.Identity.Issuer, "issuer", "", "OIDC issuer that the identity's certificate must name (default: likewise)")
	c.Flags().StringVar(&trusted.signer.Root, "trusted-root", "", "file of the authorities that may certify identities, in Sigstore's JSON")
	c.Flags().TextVar(&trusted.least, "trust", measure.Trust(""), "the least that the measurement must rest on: computed, known or stated (default: what the record says)")
	c.Flags().StringArrayVar(&trusted.bases, "base", nil, "digest (sha256:…) of a base image whose programs are trusted, in place of the one that the record names; may be repeated")
	return c
}

// trusted is what whoever verifies trusts.
type trusted struct {
	signer record.Trusted
	least  measure.Trust
	bases  []string
}

// verifyAnswer is the answer of mrelease verify --json.
type verifyAnswer struct {
	Schema string        `json:"schema"`
	OK     bool          `json:"ok"`
	Asked  asked         `json:"asked"`
	Checks []verifyCheck `json:"checks"`
	Stated []string      `json:"stated"` // what the record's owner states and nothing outside says
}

// asked is whom a verification asked about the chain.
type asked struct {
	Chain  string         `json:"chain"`
	ID     uint64         `json:"chainId"`
	Hub    record.Address `json:"hub"`
	Node   string         `json:"node"`             // URL, without secrets
	Market string         `json:"market"`           // likewise
	Config []string       `json:"config,omitempty"` // files that say so in place of what is built in
}

type verifyCheck struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Code     string `json:"code,omitempty"` // of the error, when it failed
	Evidence string `json:"evidence"`
}

func (a *app) runVerify(ctx context.Context, path string, t trusted) error {
	cfg, err := settings.Load(settings.Sources{Files: a.config, Getenv: a.getenv}, settings.Purpose{})
	if err != nil {
		return err
	}
	rec, err := release.ReadRecord(path)
	if err != nil {
		return err
	}
	bases, err := record.ParseBases(t.bases)
	if err != nil {
		return usage.Errorf("mrelease verify", "--base: %w", err)
	}
	signer, err := t.signer.Read()
	if errors.Is(err, record.ErrKeyAndIdentity) {
		return usage.Errorf("mrelease verify", "%w", err)
	} else if err != nil {
		return err
	}
	world, err := a.openWorld(ctx, cfg, rec)
	if err != nil {
		return err
	}
	builder, missing, err := a.openBuilderIfAny(ctx)
	if err != nil {
		return err
	}
	defer a.closeBuilder(builder)
	world.Trust, world.Bases = t.least, bases
	if world.Signer, world.NoRunner, world.Timeout = signer, missing, time.Duration(cfg.Enclave.Timeout); missing == nil {
		world.Runner = builder
	}
	a.page.BesideRecord(string(settings.Defaults().Record)) // not beside one that is kept somewhere
	a.page.Record = path
	return a.verify(ctx, world, rec)
}

// openWorld connects to the record's chain, whose profile is chosen by name.
func (a *app) openWorld(ctx context.Context, cfg settings.Settings, rec record.Record) (record.World, error) {
	profile, ok := cfg.Profile(rec.App.Chain)
	if !ok {
		return record.World{}, &settings.Error{Problems: []settings.Problem{{
			Where: "chains", Key: rec.App.Chain,
			Text: "the record's chain is not built in: name the file that describes it, as in mrelease verify --config mrelease.yaml RECORD",
		}}}
	}
	world, err := record.Connect(ctx, profile, rec)
	world.Registry, world.Progress = a.registry(), a.story.progress()
	return world, err
}

// asked says whom the world asks, and which of the files that were named chose that.
func (a *app) asked(w record.World) asked {
	return asked{
		Chain: w.Chain.Name, ID: w.Chain.ID, Hub: record.Address(w.Chain.Hub),
		Node: w.Chain.Node(), Market: w.Market.Node(), Config: a.config,
	}
}

func (q asked) String() string {
	from := "as built in"
	if len(q.Config) > 0 {
		from = "with " + strings.Join(q.Config, ", ")
	}
	return fmt.Sprintf("%s (%d), hub %s, node %s, market %s, %s", q.Chain, q.ID, common.Address(q.Hub), q.Node, q.Market, from)
}

func (a *app) verify(ctx context.Context, world record.World, rec record.Record) error {
	answer := verifyAnswer{Schema: "mrelease.verify/v1", Asked: a.asked(world), Stated: rec.Stated()}
	a.story.note("asking  %s", answer.Asked)
	var failed []error
	var unmeasured error
	err := record.Verify(ctx, world, rec, func(c record.Check) {
		check := verifyCheck{Name: c.Name, OK: c.Err == nil, Evidence: c.Evidence}
		if usage.Is[*measure.UnmeasuredError](c.Err) {
			unmeasured = fmt.Errorf("all else holds, but the measurement was %w", c.Err)
		} else if c.Err != nil {
			failed = append(failed, c.Err)
		}
		if c.Err != nil {
			check.Code, check.Evidence = explain(c.Err).Code, shortened(c.Err.Error())
		}
		answer.Checks = append(answer.Checks, check)
		a.story.check(c)
	})
	a.story.note("not checked, stated by the app's owner alone: %s", strings.Join(answer.Stated, ", "))
	answer.OK = err == nil
	verdict := "PASSED"
	switch {
	case len(failed) > 0:
		verdict, err = "FAILED", &record.UnverifiedError{Failed: len(failed), Total: len(answer.Checks), Err: failed[0]}
	case unmeasured != nil:
		verdict, err = "INCOMPLETE: the measurement was not checked: no builder", unmeasured
	}
	if err := a.printVerdict(answer, verdict); err != nil {
		return err
	}
	if err == nil {
		v := page.Verification{Verdict: verdict, Record: rec, Asked: answer.Asked.String(), Stated: answer.Stated}
		outputs, err := v.Outputs(a.page, answer)
		return a.answerJob(v.Summary(a.context()), outputs, err)
	}
	if err != nil {
		return usage.ToldError{Err: err}
	}
	return nil
}

func (a *app) printVerdict(answer verifyAnswer, verdict string) error {
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err := fmt.Fprintln(a.stdout, verdict)
	return err
}
