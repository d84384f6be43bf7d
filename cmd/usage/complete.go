package usage

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/settings"
)

// progress are the ways in which a build can be shown.
func progress() []string { return []string{"auto", "plain", "tty", "quiet"} }

// Complete lets a shell complete what a command takes: chains, built in and of the
// configuration, which is read then; versions of that configuration's source; builders
// and the like; records and locks.
func Complete(c *cobra.Command, read func() settings.Settings, versions func(context.Context, settings.Settings) []string) {
	fixed := map[string][]cobra.Completion{"builder": {"embedded", "docker"}, "progress": progress(), "trust": {"computed", "known", "stated"}}
	for flag, values := range fixed {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails where the command has no such flag
	}
	_ = c.RegisterFlagCompletionFunc("chain", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return read().ChainNames(), cobra.ShellCompDirectiveNoFileComp
	})
	_ = c.RegisterFlagCompletionFunc("only", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return read().Apps.Names, cobra.ShellCompDirectiveNoFileComp
	})
	tagged := func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return versions(c.Context(), read()), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
	_ = c.RegisterFlagCompletionFunc("version", tagged)
	if slices.Contains([]string{"revoke", "rollback"}, c.Name()) {
		c.ValidArgsFunction = tagged
	}
	if slices.Contains([]string{"accept", "apply", "explain", "verify"}, c.Name()) {
		c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return []cobra.Completion{"json", "lock"}, cobra.ShellCompDirectiveFilterFileExt
		}
	}
}
