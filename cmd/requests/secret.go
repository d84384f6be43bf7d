package requests

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/request"
)

// secretAnswer is the answer of mrelease request secret --json.
type secretAnswer struct {
	Schema  string `json:"schema"`
	Address string `json:"address"` // of the requester
	Name    string `json:"name"`
	Service string `json:"service"` // scheme and host
	There   bool   `json:"there"`
}

func (s *shell) secretPush() *cobra.Command {
	var variable, file string
	c := &cobra.Command{
		Use:   "push NAME",
		Short: "Give the secret service a secret for runs",
		Long: `push gives the secret service of the chain a secret of the wallet's, which its requests
can hand to the enclave of a run. The value is a text of at most 4096 bytes, taken as
it is from an environment variable or a file. The service keeps it for ever: it can be
neither read nor changed.

Exit codes: 0 pushed; 2 what was given is no secret; 17 the service has one of that name,
or refuses this one; 20 it does not answer.`,
		Example: "  mrelease request secret push api-key --env API_KEY --chain bellecour --keystore wallet.json\n  mrelease request secret push api-key --file key.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := request.CheckSecretName(args[0]); err != nil {
				return err
			}
			value, err := s.value(c.CommandPath(), variable, file)
			if err != nil {
				return err
			}
			service, wallet, err := s.open(c.Context(), c.CommandPath())
			if err != nil {
				return err
			}
			if err := service.PushSecret(c.Context(), wallet, args[0], value); err != nil {
				return err
			}
			s.Note("pushed: %s, secret of %s with %s", redact.URL(service.URL), wallet.Address, request.SecretSize(value))
			return s.answer(s.secretAnswer("push", wallet.Address, args[0], service, true), args[0])
		},
	}
	s.flags(c)
	c.Flags().StringVar(&variable, "env", "", "environment variable with the value")
	c.Flags().StringVar(&file, "file", "", "file with the value")
	return c
}

func (s *shell) secretAnswer(act string, owner common.Address, name string, service request.Service, there bool) secretAnswer {
	return secretAnswer{"mrelease.request-secret-" + act + "/v1", owner.Hex(), name, redact.URL(service.URL), there}
}

// value returns a secret, and has it masked.
func (s *shell) value(command, variable, file string) ([]byte, error) {
	switch {
	case (variable == "") == (file == ""):
		return nil, usage.Errorf(command, "want --env VARIABLE or --file FILE, which has the value")
	case variable != "":
		value := s.Getenv(variable)
		if value == "" {
			return nil, usage.Errorf(command, "the environment variable %s is not set, or empty", variable)
		}
		s.Mask(value)
		return []byte(value), nil
	}
	value, err := bounds.ReadFile(file, bounds.RequesterSecret)
	if err != nil {
		return nil, fmt.Errorf("reading secret: %w", err)
	}
	if len(value) > 0 {
		s.Mask(string(value))
	}
	return value, nil
}

// noSecretError says that the service has no secret of a name.
type noSecretError struct{ secretAnswer }

// Error implements error.
func (e *noSecretError) Error() string {
	return "checking secret " + e.Name + ": the secret service has none of that name"
}

// Evidence returns whose, and where.
func (e *noSecretError) Evidence() [][2]string {
	return [][2]string{{"secret", e.Name}, {"address", e.Address}, {"where", e.Service}}
}

func (s *shell) secretCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check NAME",
		Short: "Say whether the secret service has a secret",
		Long: `check asks the secret service of the chain whether a requester has a secret of a name;
its value nobody is told. It needs no password. Exit codes: 0 there is one; 17 none.`,
		Example: "  mrelease request secret check api-key --chain bellecour --address 0x…",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := request.CheckSecretName(args[0]); err != nil {
				return err
			}
			service, owner, err := s.look(c.Context(), c.CommandPath())
			if err != nil {
				return err
			}
			there, err := service.HasSecret(c.Context(), owner, args[0])
			if err != nil {
				return err
			}
			answer, line := s.secretAnswer("check", owner, args[0], service, there), "there"
			if !there {
				line = "absent"
			}
			if err := s.answer(answer, line); err != nil || there {
				return err
			}
			return usage.Told(&noSecretError{answer}, *s.JSON)
		},
	}
	s.flags(c)
	return c
}
