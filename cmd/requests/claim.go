package requests

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/request/deal"
)

// claimAnswer is the answer of mrelease request claim --json.
type claimAnswer struct {
	Schema  string       `json:"schema"`
	Chain   string       `json:"chain"`
	Claimed int          `json:"claimed"` // tasks, by this call
	Deals   []dealAnswer `json:"deals"`
}

func (s *shell) claim() *cobra.Command {
	var from uint64
	c := &cobra.Command{
		Use:   "claim FILE|HASH|DEAL",
		Short: "Take back what was paid for tasks that did not end in time",
		Long: `claim ends the tasks of a deal, or of all deals of a request, whose deadline is past:
what was paid for them is in the requester's stake again. Tasks that completed, and those
that were claimed before, are left as they are. One call looks at 1,000 tasks of a deal;
where that has more, it says with which --from the next one goes on.

Exit codes: 0 nothing is left to claim; 2 there are tasks that were not looked at; 18 a
task can still be done.`,
		Example: "  mrelease request claim request.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := s.place(c.CommandPath())
			if err != nil {
				return err
			}
			deals, err := p.deals(c.Context(), args[0])
			if err != nil {
				return err
			}
			wallet, err := s.ring(p.settings).OpenWallet(c.Context())
			if err != nil {
				return err
			}
			return s.claimAll(c.Context(), p, wallet, behind(deals, from), from)
		},
	}
	s.flags(c)
	c.Flags().Uint64Var(&from, "from", 0, "index of the first task to look at, among the runs of the request")
	return c
}

// behind leaves out the deals whose tasks come before an index, but for the last one.
func behind(deals []deal.Deal, from uint64) []deal.Deal {
	for len(deals) > 1 && deals[0].First+deals[0].Size <= from {
		deals = deals[1:]
	}
	return deals
}

// claimAll claims the tasks of deals. What came back before an error is told beside it.
func (s *shell) claimAll(ctx context.Context, p place, w node.Wallet, deals []deal.Deal, from uint64) error {
	answer := claimAnswer{"mrelease.request-claim/v1", p.profile.Name, 0, []dealAnswer{}}
	var failed error
	for _, d := range deals {
		tasks, claimed, err := deal.Claim(ctx, p.trade.Chain, w, d, from)
		answer.Claimed += claimed
		if err == nil || len(tasks) > 0 {
			answer.Deals = append(answer.Deals, s.tellDeal(d, tasks))
		}
		if failed = err; err != nil {
			break
		}
	}
	if failed != nil && answer.Claimed == 0 {
		return failed
	}
	s.Note("claimed: %d", answer.Claimed)
	if err := s.answer(answer, deals[len(deals)-1].ID.Hex()); err != nil || failed == nil {
		return err
	}
	return usage.Told(failed, *s.JSON)
}

func (s *shell) resultGet() *cobra.Command {
	var f *fetching
	c := &cobra.Command{
		Use:   "get FILE|HASH|DEAL",
		Short: "Download the results of a deal, and decrypt them if there is a key",
		Long: `get downloads the results of a deal's tasks, or of a request's last deal, from where the
chain says they are: a gateway of IPFS. What came is compared with its address, which is
a hash, and what the app wrote with the digest that the workers agreed on; what could not
be compared is told. It needs no password; an encrypted result is decrypted with --key, or
with the beneficiary's key in --folder, and is left as it came when there is none.

Exit codes: 0 fetched; 16 not what the chain has the digest of, damaged, for another key,
refused, or in no place that can be downloaded from; 18 a task has no result; 20 no
gateway has it.`,
		Example: "  mrelease request result get request.json --to result",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.folder == "" {
				return usage.Errorf(c.CommandPath(), "want --to FOLDER, a new one")
			}
			return s.get(c.Context(), c.CommandPath(), args[0], f)
		},
	}
	s.flags(c)
	f = s.fetchFlags(c)
	return c
}

func (s *shell) get(ctx context.Context, command, named string, f *fetching) error {
	p, err := s.place(command)
	if err != nil {
		return err
	}
	fetch, err := s.fetch(command, p, f)
	if err != nil {
		return err
	}
	deals, err := p.deals(ctx, named)
	if err != nil {
		return err
	}
	d := deals[len(deals)-1]
	if err := s.unlock(fetch, d.Beneficiary); err != nil {
		return err
	}
	tasks, err := deal.Tasks(ctx, p.trade.Chain, d)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.Stage != deal.Completed {
			return &deal.TaskError{Task: t, Chain: p.profile.Name}
		}
	}
	answer := runAnswer{"mrelease.request-run/v1", p.profile.Name, false, answerOf(d, tasks)}
	if err := s.fetchAll(ctx, fetch, &answer, tasks); err != nil {
		return err
	}
	return s.answer(answer, f.folder)
}
