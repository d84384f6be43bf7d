package usage

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// Program is what commands have of the program that they belong to.
type Program struct {
	Getenv    func(variable string) string
	Out       io.Writer // of the answer
	JSON      *bool     // the answer is to be a document
	PrintJSON func(w io.Writer, document any) error
	Note      func(format string, args ...any)
	Mask      func(secret string)
	// Token finds an identity token of the job: see keys.Ring.
	Token      func(ctx context.Context, from, audience string, proposed bool) (string, error)
	ConfigFlag func(c *cobra.Command)
	Files      func() []string // that the configuration is read from
	// OnlyFlag adds the flag that chooses apps, and Only returns which are chosen.
	OnlyFlag func(c *cobra.Command)
	Only     func() []string
	// CheckRun refuses what a job must not write to a chain.
	CheckRun func(chain string, development bool) error
}

// Parent returns a command that only has others.
func Parent(name, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, RunE: Group, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	for _, b := range below {
		if b.Args != nil {
			b.Args = Args(b.Args)
		}
		c.AddCommand(b)
	}
	return c
}
