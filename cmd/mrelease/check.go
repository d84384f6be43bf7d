package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/registry"
)

func (a *app) checkCommand() *cobra.Command {
	var printSchema bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and the files that it names",
		Long: `check reads all that a release reads on this machine, and reports everything
that is wrong with it at once: the configuration, the Dockerfile, the build's
secrets, the signing key and the wallet. Keys are decrypted when their passwords
are set. It uses no network and needs no builder. Lines that begin with "note"
are findings that stop no release.`,
		Example: "  mrelease check\n  mrelease check --schema > mrelease.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if printSchema {
				return printJSON(a.stdout, configSchema())
			}
			return a.check()
		},
	}
	a.configFlag(c)
	c.Flags().StringVar(&a.build.context, "context", "", "folder to build (overrides build.context)")
	a.targetFlags(c)
	c.Flags().BoolVar(&printSchema, "schema", false, "print the JSON schema of the configuration, and do nothing else")
	return c
}

// checkAnswer is the answer of mrelease check --json.
type checkAnswer struct {
	Schema   string         `json:"schema"`
	OK       bool           `json:"ok"`
	Checks   []checkedPart  `json:"checks"` // those that passed
	Findings []finding      `json:"findings,omitempty"`
	Problems []checkProblem `json:"problems,omitempty"`
}

type checkedPart struct {
	Name     string `json:"name"`
	Evidence string `json:"evidence"`
}

type checkProblem struct {
	Where string `json:"where"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
}

// inspection looks at the parts of a configuration, one after the other, and
// keeps the problems of all.
type inspection struct {
	*checker
	app      *app
	passed   []checkedPart
	findings []finding
}

func (a *app) check() error {
	i := &inspection{checker: read(sources{Files: a.configFiles(), Getenv: a.getenv, Flags: a.overrides()}), app: a}
	i.part("configuration", i.configuration)
	i.part("source", i.source)
	i.part("secrets", i.secrets)
	i.part("signing key", i.signingKey)
	i.part("enclave key", i.enclaveKey)
	i.part("wallet", i.wallet)
	if a.json {
		if err := printJSON(a.stdout, i.answer()); err != nil {
			return err
		}
	} else {
		i.print(a.lines())
	}
	if err := i.err(); err != nil {
		return toldError{err}
	}
	return nil
}

// part looks at one part. It passes when there is evidence and no new problem.
func (i *inspection) part(name string, look func() (evidence string)) {
	before := len(i.problems)
	if evidence := look(); evidence != "" && len(i.problems) == before {
		i.passed = append(i.passed, checkedPart{name, evidence})
	}
}

func (i *inspection) answer() checkAnswer {
	answer := checkAnswer{Schema: "mrelease.check/v1", OK: len(i.problems) == 0, Checks: i.passed, Findings: i.findings}
	for _, p := range i.problems {
		answer.Problems = append(answer.Problems, checkProblem(p))
	}
	return answer
}

func (i *inspection) print(lines story) {
	for _, p := range i.passed {
		lines.note("%s    %-14s %s", lines.paint(green, "ok"), p.Name, p.Evidence)
	}
	for _, f := range i.findings {
		lines.note("%s  %s: %s: %s\n     %-14s %s", lines.paint(yellow, "note"), f.Where, f.Code, f.Text, "cure", f.Cure)
	}
}

func (i *inspection) configuration() string {
	i.checker.check(purpose{Build: true, Publish: true})
	if len(i.files) == 0 {
		return "no file, from the environment and flags only"
	}
	return strings.Join(i.files, ", ")
}

func (i *inspection) secrets() string {
	_, err := i.app.secrets(i.cfg)
	var c *configError
	if errors.As(err, &c) {
		i.problems = append(i.problems, c.Problems...)
	}
	if len(i.cfg.Build.Secrets) == 0 {
		return ""
	}
	return fmt.Sprintf("%d, each is there", len(i.cfg.Build.Secrets))
}

func (i *inspection) signingKey() string {
	where := string(i.cfg.Sign.Key)
	if where == "" {
		return ""
	}
	_, err := i.app.readKey(i.cfg.Sign)
	var key *registry.Key
	if err == nil {
		if i.app.getenv(cosignPassword) == "" {
			return fmt.Sprintf("%s, not decrypted: %s is not set", where, cosignPassword)
		}
		key, err = i.app.openKey(i.cfg.Sign)
	}
	if err != nil {
		i.complain("sign.key", "%s: %v", where, err)
		return ""
	}
	return fmt.Sprintf("%s, decrypted, %s", where, key.GetKeyAlgorithm())
}

// enclaveKey looks at the key that signs the enclave, where mrelease does that.
func (i *inspection) enclaveKey() string {
	where := string(i.cfg.Enclave.Key)
	if where == "" {
		return ""
	}
	if _, err := i.app.enclaveKey(where); err != nil {
		i.complain("enclave.key", "%s: %v", where, err)
	}
	return where
}

func (i *inspection) wallet() string {
	if i.refused("wallet.keystore") {
		return ""
	}
	evidence, err := i.openWallet()
	var w *chain.WalletError
	if errors.As(err, &w) {
		i.complain("wallet.keystore", "%s: %s", w.Where, w.Problem)
	} else if err != nil {
		i.complain("wallet.keystore", "%v", err)
	}
	return evidence
}

func (i *inspection) openWallet() (evidence string, err error) {
	path, err := i.app.keystore(i.cfg.Wallet)
	if err != nil {
		return "", err
	}
	if path != "" && i.app.getenv(walletPassword) == "" {
		stated, err := chain.ReadKeystore(path)
		i.compareOwner(stated.Address)
		return fmt.Sprintf("%s of %s, not decrypted: %s is not set", path, stated.Address, walletPassword), err
	}
	wallet, err := i.app.openWallet(i.cfg.Wallet)
	if err != nil {
		return "", err
	}
	i.compareOwner(wallet.Address)
	return fmt.Sprintf("%s, decrypted", wallet.Address), nil
}

// compareOwner complains of a wallet that is not the one that the configuration
// names.
func (i *inspection) compareOwner(found common.Address) {
	named := i.cfg.Wallet.Address
	if named != (common.Address{}) && found != (common.Address{}) && found != named {
		i.complain("wallet.address", "is %s, and the wallet is %s", named, found)
	}
}

// split returns the errors that were joined into one.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// at writes a place in a file.
func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}
