package publishtest

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// Keys that a Safe's owners have, and one that sends for it.
const (
	safesFirst  = 3
	safesSecond = 4
	safesSender = 1
)

// safeShop is a Safe of two owners, both of whom must sign, which owns apps.
type safeShop struct {
	protocol.Safe
	chain  world.Chain
	client *node.Client
	world  record.World
	wallet node.Wallet
}

func openSafe(t *testing.T, w *world.World, c world.Chain) safeShop {
	t.Helper()
	safe, err := protocol.DeploySafe(t.Context(), c.Client, world.Key(safesSender), "../node_modules", world.Key(safesFirst), world.Key(safesSecond))
	if err != nil {
		t.Fatal(err)
	}
	profile := profile(w, c)
	profile.Market = w.Market
	connected, err := record.Connect(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	s := safeShop{Safe: safe, chain: c, client: connected.Chain, world: connected}
	s.wallet = node.Wallet{Address: safe.Address}.PaidBy(wallet(t, safesSender))
	return s
}

// calls has the Safe call the hub.
func (s safeShop) calls(t *testing.T, method string, argument any) {
	t.Helper()
	data, err := poco.HubABI().Pack(method, argument)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Execute(t.Context(), s.chain.Client, world.Key(safesSender), protocol.Call{To: s.chain.Hub, Data: data}); err != nil {
		t.Fatal(err)
	}
}

// release publishes what a release leaves behind before the Safe gave its word.
func (s safeShop) release(t *testing.T, w *world.World, app, version string) record.Record {
	t.Helper()
	r, _ := registrant{s.client, s.wallet, signingKey(t)}.register(t, w, app, version)
	r.Order.Signed.AppOrder = orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()}.Unsalted(common.Address(r.App.Address))
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(t.Context(), registry.Client{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// verify says how each link of an app holds, by the app's address alone.
func (s safeShop) verify(t *testing.T, app common.Address) (by map[string]record.Check, failed error) {
	t.Helper()
	w := s.world
	w.NoRunner = errors.New("nothing is to be run")
	subject, err := record.Seek(t.Context(), w, app)
	if err != nil {
		t.Fatal(err)
	}
	by = map[string]record.Check{}
	return by, record.Verify(t.Context(), w, subject, func(c record.Check) { by[c.Name] = c })
}

// A Safe that presigns a release's order vouches for its record, and that alone does: not
// the record beside the image before, nor who presigns it without owning the app. Closing
// the order ends the sale, and the record is the Safe's still.
func TestSafe(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := openSafe(t, w, c)
			r := s.release(t, w, "safe-"+c.Name, "1.0.0")
			app := common.Address(r.App.Address)
			var unrecorded *record.UnrecordedError
			if by, err := s.verify(t, app); !errors.As(by["record"].Err, &unrecorded) || !strings.Contains(unrecorded.Aside, "its order is not presigned on "+c.Name) {
				t.Errorf("before it is presigned: %+v, %v", by["record"], err)
			}
			given := map[string]record.Check{}
			_ = record.Verify(t.Context(), s.world, record.Given(r, "a file"), func(c record.Check) { given[c.Name] = c })
			var wrong *record.Error
			if err := given["record"].Err; !errors.As(err, &wrong) || !strings.Contains(err.Error(), "not presigned") {
				t.Errorf("a file, before it is presigned: %v", err)
			}
			var unsold *node.OrderError
			if err := given["order on chain"].Err; !errors.As(err, &unsold) || !strings.Contains(err.Error(), "is not presigned by the app's owner") {
				t.Errorf("its order, before it is presigned: %v", err)
			}

			// A stranger cannot presign it: the hub asks who owns the app.
			method, argument := r.Order.Signed.Presigning()
			var refused *node.RevertedError
			if _, err := s.client.Send(t.Context(), wallet(t, 2), s.client.HubContract(), method, argument); !errors.As(err, &refused) {
				t.Errorf("a stranger presigned it: %v", err)
			}

			s.calls(t, method, argument)
			by, err := s.verify(t, app)
			for _, name := range []string{"app", "record", "image", "signature", "provenance", "order on chain", "order on market"} {
				if by[name].Err != nil || by[name].Word == "" {
					t.Errorf("%s: %v", name, by[name])
				}
			}
			if got := by["record"].String(); !strings.HasPrefix(got, "asserted by the node: presigned by the app's owner "+s.Address.Hex()) {
				t.Errorf("record: %s, %v", got, err)
			}
			expect(t, "order on market", by["order on market"].Word, "absent")

			method, argument = r.Order.Signed.Closing(nil)
			s.calls(t, method, argument)
			by, _ = s.verify(t, app)
			if by["record"].Err != nil || by["order on chain"].Err == nil || by["order on market"].Err != nil {
				t.Errorf("after it was closed: %v", by)
			}

			saved := s.world
			saved.Saved = &record.Saved{File: "a file"}
			_ = record.Verify(t.Context(), saved, record.Given(r, "a file"), func(c record.Check) {
				if c.Name == "record" && !record.Unchecked(c.Err) {
					t.Errorf("from a file without a proof: %v", c)
				}
			})

			// What another account presigned of an app that it does not own any more is no
			// word of the owner.
			given = map[string]record.Check{}
			r.App.Owner = record.Address(wallet(t, 2).Address)
			if err := r.Commit(); err != nil {
				t.Fatal(err)
			}
			_ = record.Verify(t.Context(), s.world, record.Given(r, "a file"), func(c record.Check) { given[c.Name] = c })
			if err := given["record"].Err; !errors.As(err, &wrong) || !strings.Contains(err.Error(), "does not own the app") {
				t.Errorf("of another owner: %v", err)
			}
		})
	}
}

// From a file it is proved that a Safe presigned the order, and so whose the record is. A
// file whose proof is of before, of another order or without that word shows nothing of it.
func TestSafeFromAFile(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := openSafe(t, w, c)
			r, other := s.release(t, w, "filed-"+c.Name, "1.0.0"), s.release(t, w, "unfiled-"+c.Name, "1.0.0")
			profile := profile(w, c)
			profile.Market = w.Market
			before := s.proves(t, r)
			for _, of := range []record.Record{other, r} {
				method, argument := of.Order.Signed.Presigning()
				s.calls(t, method, argument)
			}
			path := filepath.Join(t.TempDir(), "evidence.json")
			if v := verifyBy(t, &evidence.Use{Save: path}, common.Address(r.App.Address), profile); v.err != nil || !strings.HasPrefix(v.told, "%s is written") {
				t.Fatal(v.err, v.told)
			}
			block := blockOf(t, path)
			v := verifyBy(t, &evidence.Use{Bundle: path, Block: block}, common.Address{}, gone(profile))
			if v.err != nil {
				t.Fatal(v.err)
			}
			for name, want := range map[string]string{"record": "proved: presigned by the app's owner " + s.Address.Hex(), "order on chain": "proved: " + r.Order.Hash.Hex() + ", presigned by the owner"} {
				if got := v.checks[name].String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "whose hash was given") {
					t.Errorf("%s: %s", name, got)
				}
			}
			v = verifyBy(t, &evidence.Use{Bundle: path}, common.Address{}, gone(profile))
			if got := v.checks["record"]; v.err != nil || got.Word != record.Asserted || got.By != "who made "+path {
				t.Errorf("without a block: %v, %s", v.err, got)
			}

			whole, err := evidence.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			without := proof.Claim{Domain: profile.Domain(), App: common.Address(r.App.Address), Order: r.Order.Hash}.HubSlots()
			var (
				wrong     *record.Error
				unproven  *proof.Error
				unchecked *record.UncheckedError
			)
			for name, attack := range map[string]struct {
				forge func(p *proof.Chain)
				want  any
			}{
				"of before it was presigned": {func(p *proof.Chain) { *p = before }, &wrong},
				"without the word": {func(p *proof.Chain) {
					p.Hub.Storage = slices.DeleteFunc(p.Hub.Storage, func(s proof.Slot) bool { return !slices.Contains(without, s.Key) })
				}, &unchecked},
				"of another order": {func(p *proof.Chain) {
					words := s.proves(t, other).Hub.Storage
					for i, slot := range p.Hub.Storage {
						if !slices.Contains(without, slot.Key) {
							p.Hub.Storage[i].Proof = words[i].Proof
						}
					}
				}, &unproven},
				"a bit of the word is flipped": {func(p *proof.Chain) {
					for _, slot := range p.Hub.Storage {
						if last := slot.Proof[len(slot.Proof)-1]; !slices.Contains(without, slot.Key) {
							last[len(last)-1] ^= 1
						}
					}
				}, &unproven},
			} {
				f := whole
				forged := copied(t, *whole.Proof)
				f.Proof = &forged
				attack.forge(f.Proof)
				path := filepath.Join(t.TempDir(), "forged.json")
				if err := f.Write(path); err != nil {
					t.Fatal(err)
				}
				v := verifyBy(t, &evidence.Use{Bundle: path, Block: blockOf(t, path)}, common.Address{}, gone(profile))
				if !errors.As(v.err, attack.want) {
					t.Errorf("%s: %v", name, v.err)
				}
			}
		})
	}
}

// A Safe sells a release again by another order that names the same record. That vouches for
// a record which the Safe vouched for before, and for no other; a machine that has nothing
// but the registry and the chain finds the same order.
func TestSafeSellsAgain(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := openSafe(t, w, c)
			first := s.release(t, w, "again-"+c.Name, "1.0.0")
			reopen := func(want uint64, there bool) (r record.Record) {
				t.Helper()
				r = first
				if generation, is, err := r.Reopen(t.Context(), s.client); err != nil || generation != want || is != there {
					t.Errorf("generation %d, there %v, %v, want %d, %v", generation, is, err, want, there)
				}
				return r
			}
			var wrong *record.Error
			never := first
			if _, _, err := never.Reopen(t.Context(), s.client); !errors.As(err, &wrong) {
				t.Errorf("before it is presigned: %v", err)
			}
			method, argument := first.Order.Signed.Presigning()
			s.calls(t, method, argument)
			if r := reopen(0, true); r.Order.Hash != first.Order.Hash {
				t.Errorf("another order, with one open: %s", r.Order.Hash)
			}
			other := first
			other.Version = "1.0.1"
			if _, _, err := other.Reopen(t.Context(), s.client); !errors.As(err, &wrong) {
				t.Errorf("of another content: %v", err)
			}
			method, argument = first.Order.Signed.Closing(nil)
			s.calls(t, method, argument)
			again := reopen(1, false)
			if _, err := again.Publish(t.Context(), registry.Client{}); err != nil {
				t.Fatal(err)
			}
			if by, _ := s.verify(t, common.Address(first.App.Address)); by["order on chain"].Err == nil {
				t.Error("on sale before the Safe presigned it")
			}
			method, argument = again.Order.Signed.Presigning()
			s.calls(t, method, argument)
			if r := reopen(1, true); r.Order.Hash != again.Order.Hash {
				t.Errorf("another order: %s", r.Order.Hash)
			}
			by, _ := s.verify(t, common.Address(first.App.Address))
			for _, name := range []string{"record", "order on chain"} {
				if by[name].Err != nil || !strings.Contains(by[name].Evidence, again.Order.Hash.Hex()) {
					t.Errorf("%s: %v", name, by[name])
				}
			}
		})
	}
}

// proves is the proof of a release at the last block.
func (s safeShop) proves(t *testing.T, r record.Record) proof.Chain {
	t.Helper()
	claim := proof.Claim{Domain: r.Domain(), App: common.Address(r.App.Address), Order: r.Order.Hash, Presigned: true}
	made, _, err := node.Prove(t.Context(), s.client, claim, r.OnChain())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Presigned finds what a Safe sells, beside the image of each app.
func TestSafesOrders(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	s := openSafe(t, w, w.V6)
	r := s.release(t, w, "safes-orders", "1.0.0")
	other := r
	other.Order.Signed.AppPrice = common.Big1
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Publish(t.Context(), registry.Client{}); err != nil {
		t.Fatal(err)
	}
	app, err := apps.Read(t.Context(), s.client, common.Address(r.App.Address))
	if err != nil {
		t.Fatal(err)
	}
	reg := apps.Registration{App: app, Address: common.Address(r.App.Address)}
	for _, want := range []record.Record{r, other} {
		method, argument := want.Order.Signed.Presigning()
		s.calls(t, method, argument)
		found, aside, err := record.Presigned(t.Context(), s.world, reg)
		if err != nil || aside != "" || len(found) == 0 {
			t.Fatal(found, aside, err)
		}
		if want.Order.Hash == r.Order.Hash && (len(found) != 1 || found[0].Order.Hash != r.Order.Hash) || want.Order.Hash == other.Order.Hash && len(found) != 2 {
			t.Errorf("%d found", len(found))
		}
	}
}
