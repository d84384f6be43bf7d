package publishtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/world"
)

// published is a release of an app without a measurement, as apps for TDX are.
type published struct {
	record.Record
	profile poco.Chain
	owner   node.Wallet
	key     *signing.Key
	image   name.Digest
}

func publishRelease(t *testing.T, w *world.World, c world.Chain, app, version string) published {
	t.Helper()
	p := published{profile: profile(w, c), owner: wallet(t, 1), key: signingKey(t)}
	client, reg := connect(t, p.profile), registry.Client{}
	p.profile.Market = w.Market
	tag, err := name.NewTag(w.Registry + "/" + app + ":" + version)
	if err != nil {
		t.Fatal(err)
	}
	inputs, _, err := v1.SHA256(strings.NewReader(app + version))
	if err != nil {
		t.Fatal(err)
	}
	pushed := image(t, inputs.String())
	if p.image, err = reg.Push(t.Context(), tag, pushed); err != nil {
		t.Fatal(err)
	}
	config, err := pushed.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	p.Schema, p.Version, p.Source = record.Schema, version, record.Source{Commit: strings.Repeat("c0", 20), Epoch: 1, Inputs: inputs}
	if _, err := reg.State(t.Context(), p.image, p.key, registry.Signature(), p.Source.Provenance(version)); err != nil {
		t.Fatal(err)
	}
	none := measure.Enclave{Format: measure.None}
	made, err := apps.New(p.owner.Address, app, tag, p.image, none)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := apps.Register(t.Context(), client, p.owner, made, none)
	if err != nil {
		t.Fatal(err)
	}
	order := orders.New(client.Domain(), registered.Address, orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()})
	offering, err := orders.Offer(t.Context(), client, market.Client{URL: w.Market, ChainID: c.ID}, p.owner, order)
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.key.Who()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := v1.NewHash(p.image.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	p.Image = record.Image{Reference: tag.Name(), Digest: digest, Config: config, PublicKey: who.PublicKey}
	p.Enclave, p.App = record.NewEnclave(none, measure.Spec{}), record.NewApp(client, registered)
	p.Order = record.Order{Hash: offering.Hash, Signed: offering.Order}
	p.sign(t)
	if made, err := p.Publish(t.Context(), reg); err != nil || !made {
		t.Fatal(made, err)
	}
	return p
}

func (p *published) sign(t *testing.T) {
	t.Helper()
	if err := p.Sign(p.owner); err != nil {
		t.Fatal(err)
	}
}

// Whoever verifies an address asks little: what nobody changes meanwhile is read once.
func TestVerifyRequests(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "counted", "1.0.0")
	var log transcript
	var asked atomic.Int64
	profile := p.profile
	profile.RPC, profile.Market = log.record(t, "rpc", profile.RPC), log.record(t, "market", profile.Market)
	world, err := record.Connect(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	world.Registry = registry.Client{Transport: counted{&log, &asked}}.Remembering()
	subject, err := record.Seek(t.Context(), world, common.Address(p.App.Address))
	if err != nil || subject.Missing != nil {
		t.Fatal(err, subject.Missing)
	}
	err = record.Verify(t.Context(), world, subject, func(c record.Check) { t.Log(c.Name, c) })
	if err != nil {
		t.Error(err)
	}
	if n := len(log.lines); n > 28 {
		t.Errorf("%d requests for an image of one layer, want at most 28:\n%.20000s", n, strings.Join(log.lines, "\n"))
	}
}

// counted writes down what a registry is asked, and each thing as often as it is asked.
type counted struct {
	log *transcript
	n   *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.log.add(fmt.Sprintf("registry %s %s #%d", r.Method, r.URL.Path, c.n.Add(1)))
	return http.DefaultTransport.RoundTrip(r)
}
