package publishtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/groups"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// An app is put into a group and taken out of it, by who manages the group, once each. The
// group is a contract of others: OnchainID's.
func TestGroups(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			owner := wallet(t, 1)
			group, err := protocol.DeployGroup(t.Context(), c.Client, world.Key(6), "../node_modules", owner.Address)
			if err != nil {
				t.Fatal(err)
			}
			client := connect(t, profile(w, c))
			reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "grouped"), enclave)
			if err != nil {
				t.Fatal(err)
			}
			in, out := []groups.Change{{Group: group, In: true}}, []groups.Change{{Group: group}}
			for _, step := range []struct {
				changes      []groups.Change
				transactions int
			}{{in, 1}, {in, 0}, {out, 1}, {out, 0}} {
				left, err := groups.Left(t.Context(), client, reg.Address, step.changes)
				if err != nil || len(left) != step.transactions {
					t.Errorf("%d changes are left, %v; want %d", len(left), err, step.transactions)
				}
				if _, err := groups.Check(t.Context(), client, owner.Address, reg.Address, left); err != nil {
					t.Error(err)
				}
				before := nonce(t, c, owner.Address)
				n, err := groups.Make(t.Context(), client, owner, reg.Address, step.changes)
				if err != nil || n != step.transactions || nonce(t, c, owner.Address)-before != uint64(n) {
					t.Errorf("%d transactions, %v; want %d", n, err, step.transactions)
				}
				if err := groups.Confirm(t.Context(), client, reg.Address, step.changes); err != nil {
					t.Error(err)
				}
			}
			if err := groups.Confirm(t.Context(), client, reg.Address, in); !isGroup(err, "it does not have the app "+reg.Address.Hex()) {
				t.Errorf("an app that is not in the group: %v", err)
			}

			// Who does not manage the group, and what is none, is told before anything is sent.
			stranger := wallet(t, 2)
			if _, err := groups.Check(t.Context(), client, stranger.Address, reg.Address, in); !isGroup(err, "does not let the wallet "+stranger.Address.Hex()) {
				t.Errorf("a stranger's change: %v", err)
			}
			sha256 := common.BytesToAddress([]byte{2}) // answers whatever it is asked
			for _, none := range []common.Address{{9}, c.AppRegistry, sha256} {
				if _, err := groups.Left(t.Context(), client, reg.Address, []groups.Change{{Group: none, In: true}}); !isGroup(err, "it is no ERC-734 contract") {
					t.Errorf("what is no group: %v", err)
				}
			}
		})
	}
}

func isGroup(err error, problem string) bool {
	var e *groups.Error
	return errors.As(err, &e) && strings.Contains(e.Problem, problem) && e.Remedy() != ""
}
