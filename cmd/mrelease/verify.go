package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
)

func (a *app) verifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify RECORD",
		Short: "Check a record against the registry, the chain and the market",
		Long: `verify checks that the app's owner signed the record, and looks up all that it
states: the app on the chain, the image and each of its layers, the image's
signature and provenance, the measurement (by running the image again), and the
order.
The chain is the built-in or configured one of the record's name.`,
		Example: "  mrelease verify dist/record.json\n  mrelease verify --key cosign.pub dist/record.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runVerify(c.Context(), args[0], key)
		},
	}
	a.configFlag(c)
	a.addBuilderFlags(c)
	c.Flags().StringVar(&key, "key", "", "file of the public key that the image must be signed with (default: the one in the record, which the app's owner signed)")
	return c
}

// verifyAnswer is the answer of mrelease verify --json.
type verifyAnswer struct {
	Schema string        `json:"schema"`
	OK     bool          `json:"ok"`
	Checks []verifyCheck `json:"checks"`
}

type verifyCheck struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Code     string `json:"code,omitempty"` // of the error, when it failed
	Evidence string `json:"evidence"`
}

// unverifiedError says that checks of a record failed. Its cause is the first
// one's: the later checks depend on the earlier ones.
type unverifiedError struct {
	Failed, Total int
	err           error
}

func (e *unverifiedError) Error() string {
	return fmt.Sprintf("the record does not verify: %d of %d checks failed", e.Failed, e.Total)
}

func (e *unverifiedError) Unwrap() error { return e.err }

func (a *app) runVerify(ctx context.Context, path, key string) error {
	cfg, err := a.load(settings.Purpose{})
	if err != nil {
		return err
	}
	rec, err := record.ReadFile(path)
	if err != nil {
		return err
	}
	if err := pinKey(&rec, key); err != nil {
		return err
	}
	world, err := a.openWorld(ctx, cfg, rec)
	if err != nil {
		return err
	}
	builder, err := a.openBuilder(ctx)
	if err != nil {
		return err
	}
	defer a.closeBuilder(builder)
	world.Runner, world.Timeout = builder, time.Duration(cfg.Enclave.Timeout)
	return a.verify(ctx, world, rec)
}

// pinKey puts the key that the caller trusts in the place of the record's.
func pinKey(rec *record.Record, file string) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return &keys.Error{Where: file, Err: err}
	}
	rec.Image.PublicKey = string(pem)
	return nil
}

// openWorld connects to the record's chain. The profile is chosen by name, and
// must be for the hub that the record names.
func (a *app) openWorld(ctx context.Context, cfg settings.Settings, rec record.Record) (record.World, error) {
	profile, ok := cfg.Profile(rec.App.Chain)
	if !ok {
		return record.World{}, &settings.Error{Problems: []settings.Problem{{Where: "chains", Key: rec.App.Chain, Text: "the record's chain is not built in: the configuration must describe it"}}}
	}
	if want := (poco.Domain{ChainID: profile.ID, Hub: profile.Hub}); rec.Domain() != want {
		return record.World{}, &chain.WrongChainError{What: "hub in the record", Got: fmt.Sprint(rec.Domain()), Want: fmt.Sprint(want), URL: profile.Name}
	}
	client, err := chain.Connect(ctx, profile)
	if err != nil {
		return record.World{}, err
	}
	return record.World{
		Registry: registry.Client{Keychain: authn.DefaultKeychain},
		Chain:    client,
		Market:   market.Client{URL: profile.Market, ChainID: profile.ID},
	}, nil
}

func (a *app) verify(ctx context.Context, world record.World, rec record.Record) error {
	answer := verifyAnswer{Schema: "mrelease.verify/v1"}
	var failed []error
	err := record.Verify(ctx, world, rec, func(c record.Check) {
		check := verifyCheck{Name: c.Name, OK: c.Err == nil, Evidence: c.Evidence}
		if c.Err != nil {
			failed = append(failed, c.Err)
			check.Code, check.Evidence = explain(c.Err).Code, c.Err.Error()
		}
		answer.Checks = append(answer.Checks, check)
		a.story.check(c)
	})
	answer.OK = err == nil
	if err := a.printVerdict(answer); err != nil {
		return err
	}
	if err != nil {
		return toldError{&unverifiedError{len(failed), len(answer.Checks), failed[0]}}
	}
	return nil
}

func (a *app) printVerdict(answer verifyAnswer) error {
	if a.json {
		return printJSON(a.stdout, answer)
	}
	verdict := "PASSED"
	if !answer.OK {
		verdict = "FAILED"
	}
	_, err := fmt.Fprintln(a.stdout, verdict)
	return err
}
