package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
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
				return a.printSchema()
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
	*settings.Checker
	app      *app
	ring     keys.Ring
	passed   []checkedPart
	findings []finding
}

func (a *app) check() error {
	c := settings.Read(a.sources())
	i := &inspection{Checker: c, app: a, ring: a.ring(c.Settings)}
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
	if err := i.Err(); err != nil {
		return toldError{err}
	}
	return nil
}

// part looks at one part. It passes when there is evidence and no new problem.
func (i *inspection) part(name string, look func() (evidence string)) {
	before := len(i.Problems)
	if evidence := look(); evidence != "" && len(i.Problems) == before {
		i.passed = append(i.passed, checkedPart{name, evidence})
	}
}

func (i *inspection) answer() checkAnswer {
	answer := checkAnswer{Schema: "mrelease.check/v1", OK: len(i.Problems) == 0, Checks: i.passed, Findings: i.findings}
	for _, p := range i.Problems {
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
	i.Check(settings.Purpose{Build: true, Publish: true})
	if len(i.Files) == 0 {
		return "no file, from the environment and flags only"
	}
	return strings.Join(i.Files, ", ")
}

func (i *inspection) secrets() string {
	_, err := i.app.sourceOptions(source.Options{Settings: i.Settings}).ReadSecrets()
	var c *settings.Error
	if errors.As(err, &c) {
		i.Problems = append(i.Problems, c.Problems...)
	}
	if len(i.Settings.Build.Secrets) == 0 {
		return ""
	}
	return fmt.Sprintf("%d, each is there", len(i.Settings.Build.Secrets))
}

func (i *inspection) signingKey() string {
	where := string(i.Settings.Sign.Key)
	if where == "" {
		return ""
	}
	_, err := i.ring.ReadSigningKey()
	var key *registry.Key
	if err == nil {
		if i.app.getenv(keys.CosignPassword) == "" {
			return fmt.Sprintf("%s, not decrypted: %s is not set", where, keys.CosignPassword)
		}
		key, err = i.ring.OpenSigningKey()
	}
	if err != nil {
		i.Complain("sign.key", "%s: %v", where, err)
		return ""
	}
	return fmt.Sprintf("%s, decrypted, %s", where, key.GetKeyAlgorithm())
}

// enclaveKey looks at the key that signs the enclave, where mrelease does that.
func (i *inspection) enclaveKey() string {
	where := string(i.Settings.Enclave.Key)
	if where == "" {
		return ""
	}
	if _, err := i.ring.EnclaveKey(); err != nil {
		i.Complain("enclave.key", "%s: %v", where, err)
	}
	return where
}

func (i *inspection) wallet() string {
	if i.Refused("wallet.keystore") {
		return ""
	}
	evidence, err := i.openWallet()
	var w *chain.WalletError
	if errors.As(err, &w) {
		i.Complain("wallet.keystore", "%s: %s", w.Where, w.Problem)
	} else if err != nil {
		i.Complain("wallet.keystore", "%v", err)
	}
	return evidence
}

func (i *inspection) openWallet() (evidence string, err error) {
	path, err := i.ring.Keystore()
	if err != nil {
		return "", err
	}
	if path != "" && i.app.getenv(keys.WalletPassword) == "" {
		stated, err := chain.ReadKeystore(path)
		i.compareOwner(stated.Address)
		return fmt.Sprintf("%s of %s, not decrypted: %s is not set", path, stated.Address, keys.WalletPassword), err
	}
	wallet, err := i.ring.OpenWallet()
	if err != nil {
		return "", err
	}
	i.compareOwner(wallet.Address)
	return fmt.Sprintf("%s, decrypted", wallet.Address), nil
}

// compareOwner complains of a wallet that is not the one that the configuration
// names.
func (i *inspection) compareOwner(found common.Address) {
	named := i.Settings.Wallet.Address
	if named != (common.Address{}) && found != (common.Address{}) && found != named {
		i.Complain("wallet.address", "is %s, and the wallet is %s", named, found)
	}
}

func (a *app) printSchema() error {
	schema, err := settings.Schema()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(schema)
	return err
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
