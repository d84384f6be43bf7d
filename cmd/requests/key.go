package requests

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/request"
)

// keyAnswer is the answer of mrelease request key new --json.
type keyAnswer struct {
	Schema  string `json:"schema"`
	Address string `json:"address"` // of the beneficiary
	Private string `json:"private"` // file
	Public  string `json:"public"`  // file
	SHA256  string `json:"sha256"`  // of the public half's DER
	Made    bool   `json:"made"`    // else it was there
}

func (s *shell) keyNew() *cobra.Command {
	c := &cobra.Command{
		Use:   "new",
		Short: "Make a result key, or show the one that is there",
		Long: `new makes the RSA-4096 key that results of a beneficiary are encrypted for, in the
files of iExec's command line: ADDRESS_key and ADDRESS_key.pub. A key that is there
is shown and never written to. It needs no password and no network. Results can be
read with this key only: keep a copy.

Exit codes: 0 made, or there already; 2 what is there is no such key.`,
		Example: "  mrelease request key new --keystore wallet.json\n  mrelease request key new --address 0x…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			owner, err := s.owner(c.Context(), cfg)
			if err != nil {
				return err
			}
			k, made, err := request.NewKey(s.folder, owner)
			if err != nil {
				return err
			}
			if made {
				s.Note("made: results for %s can be read with this key only, so keep a copy", owner)
			} else {
				s.Note("it was there already")
			}
			s.warn(k)
			return s.answer(keyAnswer{"mrelease.request-key/v1", owner.Hex(), k.Files.Private, k.Files.Public, k.Fingerprint(), made}, k.Files.Private)
		},
	}
	s.flags(c)
	s.folderFlag(c)
	return c
}

// warn tells of a key that is not the user's alone.
func (s *shell) warn(k request.Key) {
	if k.IsOpen() {
		s.Note("others on this machine can read %s: chmod 600", k.Files.Private)
	}
}

// pushAnswer is the answer of mrelease request key push --json.
type pushAnswer struct {
	Schema  string         `json:"schema"`
	Address string         `json:"address"` // of the beneficiary
	Service string         `json:"service"` // scheme and host
	SHA256  string         `json:"sha256"`  // of the public half's DER
	Did     request.Pushed `json:"did"`
}

func (s *shell) keyPush() *cobra.Command {
	var replace bool
	c := &cobra.Command{
		Use:   "push",
		Short: "Give the secret service the key that results are to be encrypted for",
		Long: `push gives the secret service of the chain the public half of the wallet's result
key. It is signed by the wallet, whose password is in MRELEASE_WALLET_PASSWORD.
Pushing the key again sends nothing. The service does not tell which key it has: one
that was not pushed from here is replaced with --replace only.

Exit codes: 0 the service has it; 2 there is no key on this disk; 17 the service has
another one, or may have, or keeps the first one for ever; 20 it does not answer.`,
		Example: "  mrelease request key push --chain bellecour --keystore wallet.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			service, wallet, err := s.open(c.Context(), c.CommandPath())
			if err != nil {
				return err
			}
			k, err := request.ReadKey(s.folder, wallet.Address)
			if err != nil {
				return err
			}
			s.warn(k)
			did, err := service.PushKey(c.Context(), wallet, k, replace)
			if err != nil {
				return err
			}
			s.Note("%s: %s, key of %s", did, redact.URL(service.URL), k.Beneficiary)
			if did == request.PushedThere {
				s.Note("it was pushed from here; the service does not tell which key it has")
			}
			return s.answer(pushAnswer{"mrelease.request-key-push/v1", k.Beneficiary.Hex(), redact.URL(service.URL), k.Fingerprint(), did}, k.Fingerprint())
		},
	}
	s.flags(c)
	s.folderFlag(c)
	c.Flags().BoolVar(&replace, "replace", false, "replace the key that the service has")
	return c
}

// checkAnswer is the answer of mrelease request key check --json.
type checkAnswer struct {
	Schema  string           `json:"schema"`
	Address string           `json:"address"` // of the beneficiary
	Service string           `json:"service"` // scheme and host
	SHA256  string           `json:"sha256"`  // of the public half's DER
	State   request.KeyState `json:"state"`
	Means   string           `json:"means"`
}

// stateError says that the service has not, or may not have, the key on this disk.
type stateError struct {
	checkAnswer
}

// Error implements error.
func (e *stateError) Error() string { return "checking result key: " + e.Means }

// Evidence returns who and where.
func (e *stateError) Evidence() [][2]string {
	return [][2]string{{"key", e.SHA256}, {"address", e.Address}, {"where", e.Service}}
}

func (s *shell) keyCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say whether the secret service has the result key of this disk",
		Long: `check asks the secret service of the chain for the result key of a beneficiary. The
service tells whether it has one, and not which; which one was pushed from here last
is noted beside the key. It needs no password.

Exit codes: 0 it has one, and this one was pushed from here last; 17 it has none,
another one was pushed from here last, or none was.`,
		Example: "  mrelease request key check --chain bellecour --keystore wallet.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			service, owner, err := s.look(c.Context(), c.CommandPath())
			if err != nil {
				return err
			}
			k, err := request.ReadKey(s.folder, owner)
			if err != nil {
				return err
			}
			state, err := service.CheckKey(c.Context(), k)
			if err != nil {
				return err
			}
			answer := checkAnswer{"mrelease.request-key-check/v1", owner.Hex(), redact.URL(service.URL), k.Fingerprint(), state, meaning(state)}
			if err := s.answer(answer, string(state)); err != nil {
				return err
			}
			if state == request.KeyNoted {
				s.Note("%s", answer.Means)
				return nil
			}
			return usage.Told(&stateError{answer}, *s.JSON)
		},
	}
	s.flags(c)
	s.folderFlag(c)
	return c
}

// meaning says what a state is, and no more.
func meaning(state request.KeyState) string {
	const has = "the secret service has a key, and does not tell which: "
	switch state {
	case request.KeyAbsent:
		return "the secret service has no key of this address"
	case request.KeyNoted:
		return has + "this one was pushed from here last"
	case request.KeyOther:
		return has + "another one than this was pushed from here last"
	case request.KeyUnknown:
		return has + "none was pushed from here"
	}
	return fmt.Sprintf("unknown state %q", state)
}
