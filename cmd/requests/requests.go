// Package requests is the commands of mrelease request: those of whoever has apps run.
package requests

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/settings"
)

// shell is a program, and what the flags of all commands say.
type shell struct {
	usage.Program
	chain, keystore, address string
	folder                   string // of result keys
}

// Command returns mrelease request with all that is below it.
func Command(p usage.Program) *cobra.Command {
	s := &shell{Program: p}
	c := usage.Parent("request", "What whoever has apps run needs: orders, runs, result keys, secrets",
		s.orderNew(), s.orderShow(), s.orderCancel(), s.run(), s.claim(),
		usage.Parent("key", "The key that results are encrypted for", s.keyNew(), s.keyPush(), s.keyCheck()),
		usage.Parent("result", "Results of runs", s.resultGet(), s.resultDecrypt()),
		usage.Parent("secret", "Secrets for runs", s.secretPush(), s.secretCheck()),
	)
	c.Long = `request has what whoever has apps run needs, as iExec's command line has it: orders
for runs, the runs, the key that results are encrypted for, secrets, and the results.
It needs no app and no mrelease.yaml; where there is one, its chain and wallet count.`
	c.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return usage.Check(c) }
	return c
}

// flags are those of the commands that ask who, and on which chain.
func (s *shell) flags(c *cobra.Command) {
	s.ConfigFlag(c)
	c.Flags().StringVar(&s.chain, "chain", "", "chain that is meant (overrides chain)")
	c.Flags().StringVar(&s.keystore, "keystore", "", "keystore file of the wallet, or a folder of them (overrides wallet.keystore)")
	c.Flags().StringVar(&s.address, "address", "", "address of the wallet (overrides wallet.address)")
}

func (s *shell) folderFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.folder, "folder", request.KeyFolder, "folder of the result keys")
	_ = c.MarkFlagDirname("folder") // for completion; there is such a flag
}

// load reads the settings.
func (s *shell) load() (settings.Settings, error) {
	set := map[string]string{}
	for key, value := range map[string]string{"chain": s.chain, "wallet.keystore": s.keystore, "wallet.address": s.address} {
		if value != "" {
			set[key] = value
		}
	}
	return settings.Load(settings.Sources{Files: s.Files(), Getenv: s.Getenv, Flags: set}, settings.Purpose{})
}

func (s *shell) ring(cfg settings.Settings) keys.Ring {
	return keys.Ring{Wallet: cfg.Wallet, Getenv: s.Getenv, Mask: s.Mask}
}

// profile returns the chain that is meant.
func (s *shell) profile(command string, cfg settings.Settings) (poco.Chain, error) {
	profile, ok := cfg.Profile(cfg.Chain)
	known := strings.Join(cfg.ChainNames(), ", ")
	switch {
	case cfg.Chain == "":
		return profile, usage.Errorf(command, "no chain is named: --chain, or chain in mrelease.yaml, is one of %s", known)
	case !ok:
		return profile, usage.Errorf(command, "unknown chain %q, %s", cfg.Chain, cmp.Or(cfg.NearestChain(), "want one of "+known))
	}
	return profile, nil
}

// service returns the secret service of the chain that is meant.
func (s *shell) service(command string, cfg settings.Settings) (request.Service, error) {
	profile, err := s.profile(command, cfg)
	if err == nil && profile.SMS == "" {
		err = usage.Errorf(command, "the chain %s has no secret service: set chains.%s.sms in mrelease.yaml", cfg.Chain, cfg.Chain)
	}
	return request.Service{URL: profile.SMS, Tell: s.tell}, err
}

// open returns the service, and the wallet that signs for it.
func (s *shell) open(ctx context.Context, command string) (request.Service, node.Wallet, error) {
	cfg, err := s.load()
	if err != nil {
		return request.Service{}, node.Wallet{}, err
	}
	service, err := s.service(command, cfg)
	if err != nil {
		return request.Service{}, node.Wallet{}, err
	}
	wallet, err := s.ring(cfg).OpenWallet(ctx)
	return service, wallet, err
}

// look returns the service, and the wallet's address without its password.
func (s *shell) look(ctx context.Context, command string) (request.Service, common.Address, error) {
	cfg, err := s.load()
	if err != nil {
		return request.Service{}, common.Address{}, err
	}
	service, err := s.service(command, cfg)
	if err != nil {
		return request.Service{}, common.Address{}, err
	}
	owner, err := s.owner(ctx, cfg)
	return service, owner, err
}

// owner returns the address that is named, else the wallet's.
func (s *shell) owner(ctx context.Context, cfg settings.Settings) (common.Address, error) {
	if s.address != "" {
		return cfg.Wallet.Address, nil
	}
	owner, _, err := s.ring(cfg).Owner(ctx)
	return owner, err
}

// answer prints a document with --json, else one line.
func (s *shell) answer(document any, line string) error {
	if *s.JSON {
		return s.PrintJSON(s.Out, document)
	}
	_, err := fmt.Fprintln(s.Out, line)
	return err
}
