package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/record"
)

// register registers the app that the image is.
func (r *run) register(ctx context.Context) (string, error) {
	// The app names the tag, for good, and others may push too.
	if _, err := r.Registry.Push(ctx, r.tag, r.image.Image); err != nil {
		return "", err
	}
	app, err := r.app()
	if err != nil {
		return "", err
	}
	r.registration, err = apps.Register(ctx, r.Chain, r.keys.wallet, app, r.enclave.Enclave)
	return r.note("register", r.registration.Created, "app "+r.registration.Address.Hex()), err
}

// app is what is to be registered. In a plan of an image that is not there, its
// digest and its measurement stand for others.
func (r *run) app() (poco.App, error) {
	return apps.New(r.keys.wallet.Address, r.Settings.AppName(), r.tag, r.image.digest, r.enclave.Enclave)
}

func (r *run) owner() common.Address { return r.keys.wallet.Address }

// payer sends the transactions, and pays for them.
func (r *run) payer() common.Address { return r.keys.wallet.Payer().Address }

// purse names who pays, for people.
func (r *run) purse() string {
	if r.payer() == r.owner() {
		return "the wallet"
	}
	return "the payer " + r.payer().Hex()
}

func (r *run) lookForApp(ctx context.Context) ([]Finding, error) {
	app, err := r.app()
	if err != nil {
		return nil, err
	}
	if !r.enclave.known {
		state, why := r.unknown("its address follows from the build")
		return []Finding{{"app", state, fmt.Sprintf("for %s on %s; %s", r.owner(), r.Chain.Name, why)}}, nil
	}
	if err := apps.CheckEnclave(r.Chain.Chain, r.enclave.Enclave); err != nil {
		return nil, err
	}
	r.registration, err = apps.Lookup(ctx, r.Chain, app)
	var missing *apps.NoAppError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	r.plan.AppAddress = r.registration.Address.Hex()
	if missing != nil {
		return []Finding{{"app", ToMake, fmt.Sprintf("%s would be registered for %s on %s", r.registration.Address, r.owner(), r.Chain.Name)}}, nil
	}
	if err := r.checkWithdrawn(ctx); err != nil {
		return nil, err
	}
	return []Finding{{"app", There, fmt.Sprintf("%s of %s on %s, all fields equal", r.registration.Address, r.owner(), r.Chain.Name)}}, nil
}

// checkWithdrawn refuses a release that was revoked: under other terms its order would be
// another one, which nobody closed. A plan without the key cannot see it.
func (r *run) checkWithdrawn(ctx context.Context) error {
	signer, err := r.checker(ctx)
	if err != nil || !r.image.found {
		return nil
	}
	return record.CheckWithdrawn(ctx, r.Registry, signer, r.image.digest, record.App{ChainID: r.Chain.ID, Address: record.Address(r.registration.Address)})
}

// unknown says why a measurement is not known yet.
func (r *run) unknown(unbuilt string) (State, string) {
	if r.image.found {
		return Unknown, "the image states no measurement: it is measured at the release"
	}
	return ToMake, unbuilt
}

// cost says what registering costs. It comes last: a wallet that cannot pay ends
// the plan as it would end the release.
func (r *run) cost(ctx context.Context) ([]Finding, error) {
	if r.plan.has("app", There) {
		return nil, nil
	}
	app, err := r.app()
	if err != nil {
		return nil, err
	}
	cost, err := apps.EstimateCreate(ctx, r.Chain, r.payer(), app)
	if err != nil {
		return nil, err
	}
	r.plan.creating = cost
	balance, err := r.Chain.CheckFunds(ctx, r.payer(), cost)
	if err != nil {
		return nil, err
	}
	r.plan.Cost = &Cost{cost.Gas, cost.Price.String(), cost.Wei().String(), balance.String()}
	return []Finding{{"cost", Note, fmt.Sprintf("%d gas, %s coins; %s has %s", cost.Gas, node.Coins(cost.Wei()), r.purse(), node.Coins(balance))}}, nil
}
