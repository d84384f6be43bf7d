package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/settings"
)

func (a *app) ciCommand() *cobra.Command {
	var mode ci.Mode
	c := &cobra.Command{
		Use:   "ci",
		Short: "Say what a job of a CI system calls for: plan, release or verify",
		Long: `ci prints the command that the run of a CI system calls for, and says why: plan for
what somebody proposes (a pull request, a merge request), release for a tag, verify by
the clock, and plan for all else, which changes nothing. Where act or gitlab-ci-local
emulates the system, only a chain with development: true is released to.`,
		Example: "  mrelease $(mrelease ci)\n  mrelease ci --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.runCI(mode)
		},
	}
	a.configFlag(c)
	c.Flags().StringVar(&a.build.chain, "chain", "", "chain to register on (overrides chain)")
	c.Flags().TextVar(&mode, "mode", ci.Auto, "take this `MODE` in place of what the run calls for: plan, release, apply or verify")
	return c
}

func (a *app) runCI(mode ci.Mode) error {
	// What is wrong with the configuration is the other commands' to say.
	answer := a.page.Run.Answer(mode, settings.Read(a.sources()).Settings.IsDevelopment())
	a.story.note("%s: %s", answer.Mode, answer.Why)
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err := fmt.Fprintln(a.stdout, answer.Mode)
	return err
}
