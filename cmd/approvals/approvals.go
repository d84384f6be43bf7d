// Package approvals is what the command line says of releases that were approved: the
// command that makes one, and what its errors mean.
package approvals

import (
	"context"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/cmd/usage"
)

// Command returns mrelease apply. Which release it is about say the flags; apply makes the
// one that was approved.
func Command(flags func(*cobra.Command), apply func(ctx context.Context, approved approval.Plan, dryRun bool) error) *cobra.Command {
	var hash string
	var dryRun bool
	c := &cobra.Command{
		Use:   "apply PLAN",
		Short: "Release what was approved, and nothing else",
		Long: `apply makes the release that a plan says, which mrelease plan -o wrote and somebody
approved; it builds, pushes, signs, registers and offers as release does. Before anything
is built, and again before the first write, it compares all that it is about to do with the
plan: version, commit and inputs, chain, image and measurement, app, order, orders to
retire, calls and their cost. What differs is named, and ends it.

What the plan could not know, as it was made before the build, is compared with the rest.
What was done of it meanwhile is not done again: an apply that was interrupted is finished
by running it again. The version is the plan's; other flags are given as to plan.

Whoever can write the plan's file can write another plan into it: --plan-hash is the hash
that was approved.`,
		Example: "  mrelease plan --version 1.2.0 -o dist/plan.json\n  mrelease apply dist/plan.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("plan-hash") && !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(hash) {
				return usage.Errorf(c.CommandPath(), "--plan-hash: want 64 hex digits in lower case, got %q", hash)
			}
			plan, err := approval.ReadFile(args[0])
			if err != nil {
				return err
			}
			if hash != "" {
				if err := plan.CheckHash(args[0], hash); err != nil {
					return err
				}
			}
			return apply(c.Context(), plan, dryRun)
		},
	}
	flags(c)
	if version := c.Flags().Lookup("version"); version != nil {
		version.Usage = "version that the plan must be of (default: the plan's)"
	}
	c.Flags().StringVar(&hash, "plan-hash", "", "hash that the plan must have")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "do all but the outside writes, and print the record that would be written")
	return c
}
