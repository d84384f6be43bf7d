package release

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/sbom"
	"github.com/mrelease/mrelease/settings"
)

// Keys are what a release signs with. Opening them takes time, on purpose, so each
// is asked for when it is needed, and perhaps twice, by two goroutines at a time.
type Keys interface {
	// Owner returns the wallet's address, as far as that is known without opening it,
	// and then who states it; empty when the key was opened.
	Owner(ctx context.Context) (owner common.Address, stated string, err error)
	// PayerAddress is likewise the address of who pays; the zero address for the owner.
	PayerAddress(ctx context.Context) (common.Address, error)
	OpenWallet(ctx context.Context) (node.Wallet, error)
	// Checker returns who signs, for looking at what was signed. It may open when it
	// has to sign.
	Checker(ctx context.Context) (signing.Signer, error)
	OpenSigner(ctx context.Context) (signing.Signer, error)
	// EnclaveKey returns the key that signs the enclave, in PEM; nil for none.
	EnclaveKey() ([]byte, error)
	// AppSecret returns the app's secret; nil for none.
	AppSecret() ([]byte, error)
}

// run is a release on its way: what it was begun with, then what each step found
// or made.
type run struct {
	Release
	tag         name.Tag
	accepted    *lock.Lock // nil: none
	builder     *buildkit.Builder
	stopBuilder func()
	dry         bool // nothing is written outside

	inputs       v1.Hash
	image        imageState
	place        registry.Place // where its statements will be
	enclave      enclaveState
	keys         keyring
	origin       record.Source
	attested     bool // the image's provenance was made with its signature
	registration apps.Registration
	proof        *record.Canary // nil: none was asked for
	offering     orders.Offering
	ended        rotation.Next // as this run retired what was before, with the orders that it retired

	told *memory // the Teller
	plan Plan
}

// imageState is the release's image.
type imageState struct {
	v1.Image
	found  bool           // it was pushed by an earlier run
	log    []byte         // what the build printed
	digest name.Digest    // in its repository
	sbom   *sbom.Document // what is in it; nil: not asked for, or not known yet
	vex    *assessment    // what vulnerabilities are to it; nil: not asked for
}

// enclaveState is the image's measurement.
type enclaveState struct {
	measure.Enclave
	known bool // it is that of the image; else it stands for one
}

// keyring is what signs. In a plan the wallet is its address alone, and the key may
// be missing.
type keyring struct {
	signer signing.Signer
	err    error // why there is no signer
	wallet node.Wallet
}

// begin reads the lock, the Dockerfile and the VEX document: what is wrong with them is found
// before the build rather than after it.
func (r Release) begin(ctx context.Context) (*run, error) {
	if err := r.Source.Check(); err != nil {
		return nil, err
	}
	if err := r.checkEntrypoint(ctx); err != nil {
		return nil, err
	}
	if r.Teller == nil {
		r.Teller = silent{}
	}
	accepted, err := ReadLock(r.Lock)
	if err != nil {
		return nil, err
	}
	assessed, err := r.readVEX()
	if err != nil {
		return nil, err
	}
	r.Registry.Layout = r.Settings.Sign.Layout
	r.Market.Tell = r.Teller.Note
	if r.Measuring == nil {
		r.Chain.TellTo(r.Teller.Note)
	}
	told := &memory{Teller: r.Teller, evidence: map[string]string{}}
	r.Teller = told
	in := &run{Release: r, told: told, accepted: accepted, tag: r.Settings.Image.Tag(r.Source.Version)}
	in.image.vex = assessed
	in.plan = Plan{Version: r.Source.Version, Commit: r.Source.Commit.Hash, Dirty: r.Source.Dirty(), Image: in.tag.Name()}
	return in, nil
}

// checkEntrypoint refuses an image that would be measured by the base image's program,
// or by a shell, where a shell's word is not taken.
func (r Release) checkEntrypoint(ctx context.Context) error {
	measured, least := r.Settings.Enclave.Format != measure.None, r.Settings.Enclave.Trust
	if !measured {
		return nil
	}
	found, err := r.Source.Lint(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		where := fmt.Sprintf("%s:%d", r.Settings.DockerfilePath(), f.Line)
		switch {
		case f.Code == buildkit.NoEntrypoint:
			return &settings.Error{Problems: []settings.Problem{{Where: where, Text: f.Text + "; " + f.Cure}}}
		case f.Code == buildkit.ShellEntrypoint && f.Stops(measured, least != measure.TrustStated):
			return &measure.UntrustedError{Basis: measure.Basis{Trust: measure.TrustStated, Program: where, Why: f.Text}, Least: least}
		}
	}
	return nil
}

// note keeps that a step made something, and says of its result whether this run
// made it.
func (r *run) note(step string, now bool, result string) string {
	if !now {
		return result + " (was there already)"
	}
	r.told.made = append(r.told.made, step)
	return result
}

func (r *run) closeBuilder() {
	if err := r.builder.Close(); err != nil {
		r.Teller.Note("stopping the builder: " + err.Error())
	}
}

// silent is the Teller of whoever does not listen.
type silent struct{}

func (silent) Step(string) func(string, error) { return func(string, error) {} }
func (silent) Found(Finding)                   {}
func (silent) Note(string)                     {}
