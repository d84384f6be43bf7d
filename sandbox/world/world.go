// Package world is all that mrelease reads and writes, on this machine only: a
// container registry, two chains with iExec's real contracts, a market, a secret
// service, workerpools, and a stand-in for Sigstore. Each part can be made to fail.
package world

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/chain"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/ipfs"
	"github.com/mrelease/mrelease/sandbox/market"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/registry"
	"github.com/mrelease/mrelease/sandbox/secrets"
	"github.com/mrelease/mrelease/sandbox/sigstore"
	"github.com/mrelease/mrelease/sandbox/worker"
	"github.com/mrelease/mrelease/sandbox/workerpool"
)

// Options say what world to make.
type Options struct {
	Contracts protocol.Artifacts // the folder node_modules with the compiled contracts
	Base      string             // OCI layout of the stand-in base image, which Write names; may be empty
	Registry  registry.Options
	Market    market.Limit
	Pool      *Pool             // a workerpool on each chain; nil: none
	Addresses map[string]string // host:port that services listen on, such as the registry; else one that is free
	Progress  func(what string) // is told what is up; nil: nobody is
}

// Pool says what workerpools do.
type Pool struct {
	Work   workerpool.Work               // of the workers; nil: they run the app's image
	Format worker.Format                 // of encrypted results; empty: the current one
	Ended  func(id common.Hash, e error) // is told how tasks ended; may be nil
}

// Chain is one of the world's chains, with the contracts deployed.
type Chain struct {
	Name string // in mrelease.yaml
	ID   uint64
	RPC  string // URL; its requests go through the faults of the service of this chain
	Fees poco.Fees
	protocol.Deployment
	Client     *ethclient.Client // without a network in between, and without faults
	Workerpool *workerpool.Pool  // nil without one

	node *chain.Chain
}

// World is a running world. For faults its services are called registry, market,
// secrets, rpc (the chain sandbox), rpc-v5 (the chain sandbox-v5), oidc, fulcio,
// timestamps, rekor and rekor-v2.
type World struct {
	Registry string // host:port
	Market   string // URL
	Secrets  string // URL
	Admin    string // URL of the faults
	V6       Chain  // 65535: PoCo 6, a token, fees as on Arbitrum
	V5       Chain  // 134: PoCo 5 native, no fees, as on Bellecour
	Gateway  string // URL of the IPFS gateway, where the workerpools put results
	Faults   *fault.Injector
	Stored   *secrets.Server // what the secret service holds
	Results  *ipfs.Gateway   // what the gateway holds
	Sigstore *sigstore.Instance

	format  atomic.Value      // of encrypted results: a worker.Format
	direct  map[uint64]string // URLs of the nodes, by chain id
	base    string            // reference of the stand-in base image; empty: none
	closers []func() error
}

// Start brings a world up. Close ends it.
func Start(ctx context.Context, o Options) (*World, error) {
	w := &World{Faults: &fault.Injector{}, direct: map[uint64]string{}}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var err error
	if w.base, err = baseReference(o.Base); err != nil {
		return nil, err
	}
	if w.Sigstore, err = sigstore.Start(func(service string, h http.Handler) (string, error) {
		address, err := w.serve("127.0.0.1:0", w.Faults.Wrap(service, h))
		return "http://" + address, err
	}); err == nil {
		err = w.startChains(ctx, o)
	}
	if err == nil {
		o.Progress("sigstore      " + w.Sigstore.Fulcio[len("http://"):])
		err = w.startServices(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Direct returns the URL of a chain's node, without the faults before it.
func (w *World) Direct(id uint64) string { return w.direct[id] }

// Close stops everything; the world's contents are gone then.
func (w *World) Close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	w.closers = nil
	return errors.Join(errs...)
}

func (w *World) chains() []*Chain { return []*Chain{&w.V6, &w.V5} }

// startChains starts both chains at the same time: they are what takes time.
func (w *World) startChains(ctx context.Context, o Options) error {
	w.V6 = Chain{Name: "sandbox", ID: 65535, Fees: poco.FeesEIP1559}
	w.V5 = Chain{Name: "sandbox-v5", ID: 134, Fees: poco.FeesLegacy}
	var nodes [2]*chain.Chain
	var group errgroup.Group
	for i, c := range w.chains() {
		group.Go(func() (err error) {
			nodes[i], err = c.start(ctx, o)
			return err
		})
	}
	err := group.Wait()
	for _, n := range nodes {
		if n != nil {
			w.direct[n.ID] = n.URL()
			w.closers = append(w.closers, n.Close)
		}
	}
	return err
}

// start starts a chain and deploys the contracts; it may return a chain to be
// closed beside an error.
func (c *Chain) start(ctx context.Context, o Options) (*chain.Chain, error) {
	free := c.Fees == poco.FeesLegacy
	alloc := balances()
	if free { // names are where iExec's own programs look for them
		names, err := protocol.ENSAccount(o.Contracts, crypto.PubkeyToAddress(Key(0).PublicKey))
		if err != nil {
			return nil, err
		}
		alloc[protocol.BellecourENS] = names
	}
	node, err := chain.Start(chain.Options{ID: c.ID, Alloc: alloc, Free: free})
	if err != nil {
		return nil, fmt.Errorf("starting chain %d: %w", c.ID, err)
	}
	c.RPC, c.Client, c.node = node.URL(), node.Client(), node
	deploy, release := protocol.DeployV6, "6.1.0"
	if free {
		deploy, release = protocol.DeployV5, "5.5.0, native"
	}
	c.Deployment, err = deploy(ctx, c.Client, Key(0), o.Contracts)
	if err != nil {
		return node, fmt.Errorf("deploying PoCo %s: %w", release, err)
	}
	o.Progress(fmt.Sprintf("chain %-7d PoCo %s, hub %s", c.ID, release, c.Hub))
	return node, nil
}

// startServices starts what stands before and beside the chains.
func (w *World) startServices(ctx context.Context, o Options) error {
	w.Stored, w.Results = secrets.New(w.owner), &ipfs.Gateway{}
	book := market.New(o.Market, market.Chain{ID: w.V6.ID, Hub: w.V6.Hub, Client: w.V6.Client}, market.Chain{ID: w.V5.ID, Hub: w.V5.Hub, Client: w.V5.Client})
	book.Behind = func() bool { return w.Faults.Fails("watcher") }
	orders := http.Handler(book)
	if o.Pool != nil {
		if err := w.startPools(ctx, o, book); err != nil {
			return err
		}
		orders = w.afterPools(book)
	}
	handlers := []struct {
		service string
		handler http.Handler
		at      *string
	}{
		{"registry", registry.New(o.Registry), &w.Registry},
		{"market", orders, &w.Market},
		{"secrets", w.Stored, &w.Secrets},
		{"gateway", w.Results, &w.Gateway},
		{"rpc", proxy(w.V6.RPC), &w.V6.RPC},
		{"rpc-v5", proxy(w.V5.RPC), &w.V5.RPC},
		{"admin", w.admin(), &w.Admin},
	}
	for _, h := range handlers {
		at := cmp.Or(o.Addresses[h.service], "127.0.0.1:0") // a port that the kernel picks
		address, err := w.serve(at, w.Faults.Wrap(h.service, h.handler))
		if err != nil {
			return fmt.Errorf("starting %s: %w", h.service, err)
		}
		*h.at = "http://" + address
		o.Progress(fmt.Sprintf("%-13s %s", h.service, address))
	}
	w.Registry = w.Registry[len("http://"):] // image references have no scheme
	return nil
}

// serve serves at an address, and returns it.
func (w *World) serve(at string, h http.Handler) (string, error) {
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener) // ends with Close
	w.closers = append(w.closers, server.Close)
	return listener.Addr().String(), nil
}

// proxy stands before a node, so that its answers can be made to fail. As at a
// provider of nodes the path may be anything: it is where API keys stand.
func proxy(node string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if u, err := url.Parse(node); err == nil { // the node's own words
				r.Out.URL.Path = ""
				r.SetURL(u)
			}
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// owner asks the chains who owns an app or a dataset.
func (w *World) owner(ctx context.Context, contract common.Address) (common.Address, error) {
	owner, err := market.Owner(ctx, w.V6.Client, contract)
	if err != nil {
		owner, err = market.Owner(ctx, w.V5.Client, contract)
	}
	return owner, err
}

// Wallet is the key of the account that releases.
func (w *World) Wallet() *ecdsa.PrivateKey { return Key(1) }
