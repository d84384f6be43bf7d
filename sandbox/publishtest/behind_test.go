package publishtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// behind stands before a chain's node, and answers as one whose last block is an earlier
// one: it has no later blocks and receipts, and what it says of now is from then.
type behind struct {
	url  string
	last atomic.Uint64          // 0: it is not behind
	late atomic.Pointer[func()] // called when it has said what its last block is while it was behind
}

// whenLate has f called each time that somebody was told of a last block that is too early.
func (b *behind) whenLate(f func()) { b.late.Store(&f) }

func newBehind(t *testing.T, direct string) *behind {
	t.Helper()
	target, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	b := &behind{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Accept-Encoding") // what is answered is read here
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := b.last.Load()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if last > 0 {
			then := fmt.Sprintf(`"%#x"`, last)
			body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(`"latest"`), []byte(then)), []byte(`"pending"`), []byte(then))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		answer, number := httptest.NewRecorder(), bytes.Contains(body, []byte("eth_blockNumber"))
		proxy.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", "application/json")
		w.Write(cut(answer.Body.Bytes(), last, number))
		if told := b.late.Load(); told != nil && last > 0 && number {
			(*told)()
		}
	}))
	t.Cleanup(s.Close)
	b.url = s.URL
	return b
}

// cut takes from an answer what is of later blocks than the last.
func cut(answer []byte, last uint64, number bool) []byte {
	var said struct {
		ID     json.RawMessage `json:"id"`
		Result json.RawMessage `json:"result"`
	}
	if last == 0 || json.Unmarshal(answer, &said) != nil {
		return answer
	}
	if number {
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":"%#x"}`, said.ID, last)
	}
	var of struct{ BlockNumber, Number string }
	if json.Unmarshal(said.Result, &of) != nil {
		return answer
	}
	block, err := strconv.ParseUint(of.BlockNumber+of.Number, 0, 64)
	if err != nil || block <= last {
		return answer
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":null}`, said.ID)
}

// reads are all ways to ask a client for what a transaction changed; a method of it that is
// not among them must be named as one that reads nothing.
func reads(app poco.App, owner node.Wallet) map[string]func(context.Context, *node.Client) error {
	return map[string]func(context.Context, *node.Client) error{
		"Read": func(ctx context.Context, c *node.Client) error {
			_, err := apps.Lookup(ctx, c, app)
			return err
		},
		"Ask": func(ctx context.Context, c *node.Client) error {
			_, err := node.CheckOrder(ctx, c, poco.SignedAppOrder{AppOrder: poco.AppOrder{AppPrice: new(big.Int), Volume: big.NewInt(1)}}, owner.Address)
			return err
		},
		"Balance": func(ctx context.Context, c *node.Client) error { _, err := c.Balance(ctx, owner.Address); return err },
		"IsContract": func(ctx context.Context, c *node.Client) error {
			_, err := c.IsContract(ctx, owner.Address)
			return err
		},
		"AtHead":    func(ctx context.Context, c *node.Client) error { _, _, err := c.AtHead(ctx); return err },
		"LastBlock": func(ctx context.Context, c *node.Client) error { _, err := c.LastBlock(ctx); return err },
		"Settle":    func(ctx context.Context, c *node.Client) error { _, err := c.Settle(ctx, owner.Address); return err },
		"Stands": func(ctx context.Context, c *node.Client) error { // which looks for the client's transactions
			_, err := c.Stands(ctx, [32]byte{})
			return err
		},
		"SendAll": func(ctx context.Context, c *node.Client) error { return c.SendAll(ctx, owner, nil) },
		"Until": func(ctx context.Context, c *node.Client) error {
			_, err := c.Until(ctx, owner, "depositing", func(context.Context) ([]node.Transaction, error) {
				return []node.Transaction{{Contract: c.HubContract(), Method: "deposit"}}, nil
			})
			return err
		},
		"Send": func(ctx context.Context, c *node.Client) error {
			_, err := c.Send(ctx, owner, c.HubContract(), "deposit")
			return err
		},
		"Estimate": func(ctx context.Context, c *node.Client) error {
			_, err := c.Estimate(ctx, owner.Address, c.HubContract(), "deposit")
			return err
		},
		"MaxFee": func(ctx context.Context, c *node.Client) error { _, err := c.MaxFee(ctx); return err },
		"CheckFunds": func(ctx context.Context, c *node.Client) error {
			_, err := c.CheckFunds(ctx, owner.Address, node.Cost{})
			return err
		},
	}
}

// No read is older than a write before it: when the node that had the transaction fails, one
// that lacks its block is told and left out, or waited for.
func TestFailoverToANodeBehind(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	owner, direct := wallet(t, 1), w.Direct(w.V6.ID)
	down := func() {
		if err := w.Faults.Add(fault.Rule{Service: "rpc", Status: http.StatusForbidden, Times: 100_000}); err != nil {
			t.Fatal(err)
		}
	}
	// release registers an app by nodes of which the first then fails, and the second stays
	// where it was before.
	release := func(t *testing.T, name string, spare ...string) (*node.Client, *behind, poco.App) {
		t.Helper()
		late := newBehind(t, direct)
		p := profile(w, w.V6)
		p.Spare = append([]string{late.url}, spare...)
		client, app := connect(t, p), newApp(owner, name)
		before, err := w.V6.Client.BlockNumber(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apps.Register(t.Context(), client, owner, app, enclave); err != nil {
			t.Fatal(err)
		}
		late.last.Store(before)
		down()
		return client, late, app
	}

	t.Run("another has it", func(t *testing.T) {
		defer w.Faults.Clear()
		client, late, app := release(t, "another", direct)
		told := listen(client)
		if _, err := apps.Lookup(t.Context(), client, app); err != nil || client.Node() != direct {
			t.Errorf("got %v from %s", err, client.Node())
		}
		if !told.has(late.url+" has ") || !told.has("it is left out") {
			t.Errorf("told %q", told.lines)
		}
	})
	t.Run("it comes to have it", func(t *testing.T) {
		defer w.Faults.Clear()
		client, late, app := release(t, "comes")
		late.whenLate(func() { late.last.Store(0) })
		if _, err := apps.Lookup(t.Context(), client, app); err != nil || client.Node() != late.url {
			t.Errorf("got %v from %s", err, client.Node())
		}
	})
	t.Run("none has it", func(t *testing.T) {
		defer w.Faults.Clear()
		client, late, app := release(t, "none")
		all := reads(app, owner)
		for name, read := range all {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var asked atomic.Int32
				late.whenLate(func() {
					if asked.Add(1) == 2 { // so what it said before was read
						cancel()
					}
				})
				if err := read(ctx, client); err == nil || !strings.Contains(err.Error(), "not yet") {
					t.Errorf("got %v, want that the node lacks a block", err)
				}
			})
		}
		other := map[string]bool{"Node": true, "TellTo": true, "HubContract": true, "Domain": true, "IsDevelopment": true}
		for i := range reflect.TypeFor[*node.Client]().NumMethod() {
			if m := reflect.TypeFor[*node.Client]().Method(i).Name; all[m] == nil && !other[m] {
				t.Errorf("nobody tries what %s reads", m)
			}
		}
	})
}
