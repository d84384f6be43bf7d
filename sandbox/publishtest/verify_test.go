package publishtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
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

// registrant is who registers apps, and the key of their images.
type registrant struct {
	client *node.Client
	owner  node.Wallet
	key    *signing.Key
}

// register leaves behind what a release does before it offers the app: the image, signed, and
// the app. The record has all but an order.
func (s registrant) register(t *testing.T, w *world.World, app, version string) (r record.Record, pushed name.Digest) {
	t.Helper()
	reg := registry.Client{}
	tag, err := name.NewTag(w.Registry + "/" + app + ":" + version)
	if err != nil {
		t.Fatal(err)
	}
	inputs, _, err := v1.SHA256(strings.NewReader(app + version))
	if err != nil {
		t.Fatal(err)
	}
	content := image(t, inputs.String())
	if pushed, err = reg.Push(t.Context(), tag, content); err != nil {
		t.Fatal(err)
	}
	config, err := content.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	r = record.Record{Schema: record.Schema, Version: version, Source: record.Source{Commit: strings.Repeat("c0", 20), Epoch: 1, Inputs: inputs}}
	if _, err := reg.State(t.Context(), pushed, s.key, registry.Signature(), r.Source.Provenance(version)); err != nil {
		t.Fatal(err)
	}
	none := measure.Enclave{Format: measure.None}
	made, err := apps.New(s.owner.Address, app, tag, pushed, none)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := apps.Register(t.Context(), s.client, s.owner, made, none)
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.key.Who()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := v1.NewHash(pushed.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	r.Image = record.Image{Reference: tag.Name(), Digest: digest, Config: config, PublicKey: who.PublicKey}
	r.Enclave, r.App = record.NewEnclave(none, measure.Spec{}), record.NewApp(s.client, registered)
	return r, pushed
}

func publishRelease(t *testing.T, w *world.World, c world.Chain, app, version string) published {
	t.Helper()
	p := published{profile: profile(w, c), owner: wallet(t, 1), key: signingKey(t)}
	client := connect(t, p.profile)
	p.profile.Market = w.Market
	p.Record, p.image = registrant{client, p.owner, p.key}.register(t, w, app, version)
	order := orders.New(client.Domain(), common.Address(p.App.Address), orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()})
	offering, err := orders.Offer(t.Context(), client, market.Client{URL: w.Market, ChainID: c.ID}, p.owner, order)
	if err != nil {
		t.Fatal(err)
	}
	p.Order = record.Order{Hash: offering.Hash, Signed: offering.Order}
	p.sign(t)
	if made, err := p.Publish(t.Context(), registry.Client{}); err != nil || !made {
		t.Fatal(made, err)
	}
	return p
}

func (p *published) sign(t *testing.T) {
	t.Helper()
	if err := p.Sign(t.Context(), p.owner); err != nil {
		t.Fatal(err)
	}
}

// Whoever verifies an address asks little: what nobody changes meanwhile is read once.
func TestVerifyRequests(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "counted", "1.0.0")
	var rpcLog, marketLog, registryLog transcript
	profile := p.profile
	profile.RPC, profile.Market = rpcLog.record(t, "rpc", profile.RPC), marketLog.record(t, "market", profile.Market)
	world, err := record.Connect(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	world.Registry = registry.Client{Transport: counted{&registryLog}}.Remembering()
	subject, err := record.Seek(t.Context(), world, common.Address(p.App.Address))
	if err != nil || subject.Missing != nil {
		t.Fatal(err, subject.Missing)
	}
	err = record.Verify(t.Context(), world, subject, func(c record.Check) { t.Log(c.Name, c) })
	if err != nil {
		t.Error(err)
	}
	rpc, market, asked := rpcLog.asked.Load(), marketLog.asked.Load(), registryLog.asked.Load()
	t.Logf("%d requests: %d to the node, %d to the market, %d to the registry", rpc+market+asked, rpc, market, asked)
	if rpc > 3 || market > 1 || asked > 9 {
		t.Errorf("%d, %d and %d requests to node, market and registry for an image of one layer, want at most 3, 1 and 9:\n%.20000s", rpc, market, asked,
			strings.Join(slices.Concat(rpcLog.lines, marketLog.lines, registryLog.lines), "\n"))
	}
}

// A node that takes one call in a request is asked one call after the other, with the same end.
func TestVerifyWithoutBatches(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "lonely", "1.0.0")
	target, err := url.Parse(p.profile.RPC)
	if err != nil {
		t.Fatal(err)
	}
	for name, refuse := range map[string]func(http.ResponseWriter){
		"an error in their place": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not allowed"}}`)
		},
		"a status":          func(w http.ResponseWriter) { http.Error(w, "one at a time", http.StatusBadRequest) },
		"no answers":        func(w http.ResponseWriter) { fmt.Fprint(w, `[]`) },
		"more than is read": func(w http.ResponseWriter) { fmt.Fprintf(w, "[%s]", strings.Repeat(" ", bounds.RPCAnswer)) },
	} {
		t.Run(name, func(t *testing.T) {
			var refused atomic.Int64
			forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			lonely := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				if strings.HasPrefix(string(body), "[") {
					refused.Add(1)
					refuse(w)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				forward.ServeHTTP(w, r)
			}))
			defer lonely.Close()
			profile := p.profile
			profile.RPC = lonely.URL
			world, err := record.Connect(t.Context(), profile)
			if err != nil {
				t.Fatal(err)
			}
			if err := record.Verify(t.Context(), world, record.Given(p.Record, ""), func(record.Check) {}); err != nil {
				t.Error(err)
			}
			if refused.Load() == 0 {
				t.Error("no batch was asked")
			}
		})
	}
}

// counted writes down what a registry is asked, and each thing as often as it is asked. A
// registry without TLS is tried with TLS too, which is no request.
type counted struct{ log *transcript }

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		c.log.add(fmt.Sprintf("registry %s %s #%d", r.Method, r.URL.Path, c.log.asked.Add(1)))
	}
	return resp, err
}

// Beside an image anybody who may push can put a record. What counts is by whom the app's
// own chain names as owner, about this app on this chain.
func TestAttackSeek(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "sought", "1.0.0")
	other := publishRelease(t, w, w.V6, "another", "1.0.0")
	world, err := record.Connect(t.Context(), p.profile)
	if err != nil {
		t.Fatal(err)
	}
	stranger := wallet(t, 2)
	for name, forge := range map[string]func(r *published){
		"a stranger's, who names himself as owner": func(r *published) {
			r.owner, r.App.Owner, r.Image.PublicKey = stranger, record.Address(stranger.Address), other.Image.PublicKey
		},
		"a stranger's, who names the owner":        func(r *published) { r.owner, r.Image.PublicKey = stranger, other.Image.PublicKey },
		"the owner's, of the app on another chain": func(r *published) { r.App.ChainID = 134 },
		"the owner's, of another hub":              func(r *published) { r.App.Hub = r.App.Registry },
		"the owner's, of another app":              func(r *published) { r.App.Address, r.Order = other.App.Address, other.Order },
		"the owner's, of another image": func(r *published) {
			r.Image.Digest, r.App.Checksum = other.Image.Digest, other.App.Checksum
		},
	} {
		t.Run(name, func(t *testing.T) {
			forged := p
			forge(&forged)
			if forged.Domain() != p.Domain() {
				forged.Order.Hash = forged.Order.Signed.Hash(forged.Domain())
			}
			forged.sign(t)
			document, err := json.MarshalIndent(forged.Record, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			document = append(document, '\n')
			if _, err := record.Parse(document); (err != nil) != strings.Contains(name, "who names the owner") {
				t.Fatalf("as a record by itself: %v", err)
			}
			if _, err := (registry.Client{}).Attach(t.Context(), p.image, record.Kind(), document); err != nil {
				t.Fatal(err)
			}
			s, err := record.Seek(t.Context(), world, common.Address(p.App.Address))
			if err != nil || s.Missing != nil || s.Image.PublicKey != p.Image.PublicKey || s.Found != "found beside the image" {
				t.Errorf("found %+v, %q, %v, %v", s.Image, s.Found, s.Missing, err)
			}
		})
	}
	// By its digest the image is now that of several apps, of which its records tell.
	apps, err := record.AppsOf(t.Context(), registry.Client{}, p.image)
	there := slices.ContainsFunc(apps, func(a record.App) bool { // whoever its first record names as owner
		return a.Address == p.App.Address && a.ChainID == p.App.ChainID && a.Hub == p.App.Hub
	})
	if err != nil || len(apps) < 2 || !there {
		t.Errorf("by the image's digest: %+v, %v", apps, err)
	}
}

// leadsTo reports whether what a request asks for is a manifest that names a blob.
func leadsTo(t *testing.T, r *http.Request, blob string) bool {
	t.Helper()
	if !strings.Contains(r.URL.Path, "/manifests/") {
		return false
	}
	resp, err := http.DefaultTransport.RoundTrip(r.Clone(r.Context()))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && bytes.Contains(body, []byte(blob))
}

// Whose image it is follows from all records beside it: while one cannot be read, another's
// that can is not taken for the only one.
func TestAttackAppsOf(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "claimed", "1.0.0")
	stranger := p
	stranger.owner, stranger.App.ChainID = wallet(t, 2), 134
	stranger.App.Owner = record.Address(stranger.owner.Address)
	stranger.Order.Hash = stranger.Order.Signed.Hash(stranger.Domain())
	document := func(r record.Record) []byte {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return append(text, '\n')
	}
	stranger.sign(t)
	older := registry.Client{Layout: registry.Tags}
	if _, err := (registry.Client{}).Attach(t.Context(), p.image, record.Kind(), document(stranger.Record)); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%x", sha256.Sum256(document(p.Record)))
	failing := registry.Client{Transport: answering(func(r *http.Request) *http.Response {
		if !strings.HasSuffix(r.URL.Path, own) && !leadsTo(t, r, own) {
			return nil
		}
		return &http.Response{StatusCode: http.StatusNotImplemented, Body: http.NoBody, Request: r}
	})}
	if apps, err := record.AppsOf(t.Context(), failing, p.image); err == nil {
		t.Errorf("one record cannot be read: %+v", apps)
	}
	if apps, err := record.AppsOf(t.Context(), registry.Client{}, p.image); err != nil || len(apps) != 2 {
		t.Errorf("both records are there: %+v, %v", apps, err)
	}
	third := stranger // whose record is under the tag
	third.App.ChainID = 135
	third.Order.Hash = third.Order.Signed.Hash(third.Domain())
	third.sign(t)
	if _, err := older.Attach(t.Context(), p.image, record.Kind(), document(third.Record)); err != nil {
		t.Fatal(err)
	}
	if apps, err := record.AppsOf(t.Context(), registry.Client{}, p.image); err != nil || len(apps) != 3 {
		t.Errorf("one is under the tag: %+v, %v", apps, err)
	}
	for i := range bounds.Documents {
		if _, err := (registry.Client{}).Attach(t.Context(), p.image, record.Kind(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if apps, err := record.AppsOf(t.Context(), registry.Client{}, p.image); err == nil {
		t.Errorf("more records than are read: %+v", apps)
	}
}

// link is one of the checks of a release in a world.
func (p published) link(t *testing.T, world record.World, name string) (found record.Check) {
	t.Helper()
	_ = record.Verify(t.Context(), world, record.Given(p.Record, ""), func(c record.Check) {
		if c.Name == name {
			found = c
		}
	})
	return found
}

// Where the registry fails to give a statement that it lists, or lists more than are read,
// nobody knows whether the release was withdrawn: that is no pass.
func TestAttackRevocationThatIsNotGiven(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "withdrawn", "1.0.0")
	world, err := record.Connect(t.Context(), p.profile)
	if err != nil {
		t.Fatal(err)
	}
	var known sync.Map
	noting, withholding := answering(func(r *http.Request) *http.Response {
		known.Store(r.URL.Path, true)
		return nil
	}), answering(func(r *http.Request) *http.Response {
		if _, is := known.Load(r.URL.Path); is || !strings.Contains(r.URL.Path, "/manifests/sha256:") {
			return nil
		}
		return &http.Response{StatusCode: http.StatusNotImplemented, Body: http.NoBody, Request: r}
	})
	look := func(transport http.RoundTripper) record.Check {
		world.Registry = registry.Client{Transport: transport}
		return p.link(t, world, "revocation")
	}
	if c := look(noting); c.Err != nil {
		t.Fatal(c.Err)
	}
	hidden := &crowd{}
	if c := look(hidden); !record.Unchecked(c.Err) { // it cannot tell, and has seen what to list
		t.Errorf("in a crowd: %v", c)
	}
	revocation := record.Revocation{Version: "1.0.0", Reason: "greets nobody", ChainID: p.App.ChainID, App: p.App.Address}
	if _, err := (registry.Client{}).State(t.Context(), p.image, p.key, revocation.Attestation()); err != nil {
		t.Fatal(err)
	}
	var revoked *record.RevokedError
	if c := look(http.DefaultTransport); !errors.As(c.Err, &revoked) {
		t.Errorf("given: %v", c)
	}
	if c := look(withholding); !record.Unchecked(c.Err) {
		t.Errorf("not given: %v", c)
	}
	if c := look(hidden); !record.Unchecked(c.Err) {
		t.Errorf("given, and in a crowd: %v", c)
	}
}

// answering answers some requests in the place of the network.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if resp := a(r); resp != nil {
		return resp, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Of several records by the owner the one counts by whose order the app can be bought.
func TestSeekChooses(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "chosen", "1.0.0")
	world, err := record.Connect(t.Context(), p.profile)
	if err != nil {
		t.Fatal(err)
	}
	second := p
	terms := orders.Terms{Price: 9, Volume: 10, Tag: poco.TEE()}
	offering, err := orders.Offer(t.Context(), world.Chain, world.Market, p.owner, orders.New(p.Domain(), common.Address(p.App.Address), terms))
	if err != nil {
		t.Fatal(err)
	}
	second.Order = record.Order{Hash: offering.Hash, Signed: offering.Order}
	second.sign(t)
	if _, err := second.Publish(t.Context(), registry.Client{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ close, left published }{{p, second}, {second, second}} {
		if _, err := node.Close(t.Context(), world.Chain, p.owner, c.close.Order.Signed.AppOrder); err != nil {
			t.Fatal(err)
		}
		s, err := record.Seek(t.Context(), world, common.Address(p.App.Address))
		if err != nil || s.Missing != nil || s.Found != "found beside the image, one of 2 that the owner signed for this app" {
			t.Fatalf("found %q, %v, %v", s.Found, s.Missing, err)
		}
		if c.close.Order.Hash == p.Order.Hash && s.Order.Hash != c.left.Order.Hash {
			t.Errorf("order %s, want the one that is open", s.Order.Hash)
		}
	}
}
