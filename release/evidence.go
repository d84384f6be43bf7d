package release

import (
	"context"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
)

// Evidence is how a verification keeps what it is told, or is made from what was kept.
type Evidence struct{ evidence.Use }

// Target reads what is verified: with a file, the record in it. Errors: *TargetError,
// *evidence.Error, those of [ReadTarget].
func (e *Evidence) Target(ctx context.Context, given string) (Target, error) {
	block := string(e.Block)
	switch {
	case e.Bundle != "" && given != "":
		return Target{}, &TargetError{given, "is a second target: the file of --bundle says what is verified", "leave one of both out"}
	case e.Bundle != "" && e.Save != "":
		return Target{}, &TargetError{e.Save, "would be of what a file says", "--save where the release itself is verified"}
	case e.Bundle == "" && e.Block != "":
		return Target{}, &TargetError{"--block", "is for what a file proves", "give it with --bundle"}
	case e.Bundle == "" && given == "":
		return Target{}, &TargetError{"verify", "lacks what to verify", "give an app's address, an image by its digest, a record, or a file by --bundle"}
	case e.Block != "" && new(common.Hash).UnmarshalText([]byte(block)) != nil:
		return Target{}, &TargetError{block, "is no hash of a block", "it is 0x and 64 hex digits, as a block explorer has it"}
	case e.Bundle == "":
		return ReadTarget(ctx, given)
	}
	r, err := e.Read()
	return Target{text: e.Bundle, record: &r}, err
}

// Open connects to the target's chain, whose profile is chosen by name, and with a file
// checks its proof. Errors: *TargetError, *settings.Error, *node.NameError, those of
// [node.Connect], *proof.Error.
func (e *Evidence) Open(ctx context.Context, cfg settings.Settings, target *Target, c registry.Client, byFlag bool) (w record.World, err error) {
	client := e.Registry(c)
	chain, err := target.Chain(ctx, client, cfg.Chain, byFlag)
	if err != nil {
		return w, err
	}
	if chain == "" {
		return w, &TargetError{"the address", "is one of which chain? --chain " + strings.Join(cfg.ChainNames(), ", --chain "), "name its chain"}
	}
	profile, ok := cfg.Profile(chain)
	if !ok {
		return w, unknownChain(chain, cfg)
	}
	if target.ens != "" {
		if err := node.CheckName(profile, target.ens); err != nil {
			return w, err
		}
	}
	w, err = e.Connect(ctx, profile)
	w.Registry = client
	return w, err
}

// unknownChain says what to do about a chain that nothing describes, and which was meant.
func unknownChain(name string, cfg settings.Settings) error {
	p := settings.Problem{
		Where: "chains", Key: name,
		Text: "the chain is not built in: name the file that describes it, as in mrelease verify --config mrelease.yaml TARGET",
		Cure: "--chain with one that is built in, or --config with the file that describes this one",
	}
	cfg.Chain = name // which may be a record's
	if near := cfg.NearestChain(); near != "" {
		p.Text = "no chain has that name, " + near
	}
	return &settings.Error{Problems: []settings.Problem{p}}
}
