// Package canaries is what the command line says of canaries: the flags of who releases
// with one, and what their errors mean.
package canaries

import "github.com/spf13/cobra"

// Flags are those of the commands that make a release, or say what it would make.
type Flags struct {
	Again        bool
	run, deposit bool
}

// Add adds the flags to a command.
func (f *Flags) Add(c *cobra.Command) {
	c.Flags().BoolVar(&f.run, "canary", false, "offer the app's order only after a run of the app, which its owner buys, was good (overrides canary.run)")
	c.Flags().BoolVar(&f.Again, "canary-again", false, "buy another such run where the last one failed")
	c.Flags().BoolVar(&f.deposit, "deposit", false, "pay what such a run costs above the wallet's stake into the hub (overrides canary.deposit)")
}

// Set adds what the flags say to what overrides a configuration, by its keys.
func (f Flags) Set(overrides map[string]string) {
	for key, is := range map[string]bool{"canary.run": f.run || f.Again, "canary.deposit": f.deposit} {
		if is {
			overrides[key] = "true"
		}
	}
}
