package vectors

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// happened is a release that is not as it should be, or to which something happened after it
// was made. What is wrong is so on the chain, in the registry and in the market.
type happened struct {
	clause, says string
	plan         plan
	then         happening // nil: nothing
	want         Want
}

func oursThenTheirs(m *maker) []signing.Signer { return []signing.Signer{m.ours, m.theirs} }

// histories are the releases that vectors are about.
func histories() []happened {
	return []happened{
		{"12.1", "a release", plan{}, nil, accepted()},
		{"5.1", "a release whose signatures are in the older layout", plan{layout: registry.Tags}, nil, accepted()},
		{"5.5", "a release that a stranger signed as well", plan{signers: oursThenTheirs}, nil, accepted()},
		{"10.1", "a release for one requester only", plan{terms: func(t *orders.Terms) { t.RequesterRestrict = common.Address{1} }}, nil, accepted()},
		{"10.1", "a release with the largest price", plan{terms: func(t *orders.Terms) { t.Price = 1<<53 - 1 }}, nil, accepted()},
		{"10.1", "a release without a tag", plan{terms: func(t *orders.Terms) { t.Tag = poco.Tag{} }}, nil, accepted()},
		{"5.2", "an image that is attested and not signed", plan{unsigned: true}, nil, refused(12, noSignature, "signature")},
		{"5.1", "an image signed by another key than the record's", plan{}, func(ctx context.Context, m *maker, r *released) error { return r.nameKey(ctx, m.theirs) }, refused(12, noSignature, "signature", "provenance")},
		{"6.1", "an image without provenance", plan{states: func(record.Source) []registry.Attestation { return nil }}, nil, refused(12, noProvenance, "provenance")},
		{"6.1", "a provenance of another commit", plan{states: otherSource(func(s *record.Source) { s.Commit = strings.Repeat("c1", 20) })}, nil, refused(12, noProvenance, "provenance")},
		{"6.1", "a provenance of another time", plan{states: otherSource(func(s *record.Source) { s.Epoch++ })}, nil, refused(12, noProvenance, "provenance")},
		{"6.1", "a provenance of other inputs", plan{states: otherSource(func(s *record.Source) { s.Inputs.Hex = strings.Repeat("1", 64) })}, nil, refused(12, noProvenance, "provenance")},
		{"6.1", "a provenance of a source with changes", plan{states: otherSource(func(s *record.Source) { s.Dirty = true })}, nil, refused(12, noProvenance, "provenance")},
		{"6.1", "a provenance of another type", plan{states: func(s record.Source) []registry.Attestation {
			said := s.Provenance(version)
			said.Type += "x"
			return []registry.Attestation{said}
		}}, nil, refused(12, noProvenance, "provenance")},
		{"1.3", "an app with another checksum", plan{app: func(a *poco.App) { a.Checksum[0] ^= 1 }}, nil, refused(12, badRecord)},
		{"1.3", "an app with a fingerprint, and a record without", plan{app: func(a *poco.App) { a.MREnclave = []byte("1") }}, nil, refused(13, conflict, "app")},
		{"1.3", "an app of another type", plan{app: func(a *poco.App) { a.Type = "OTHER" }}, nil, refused(13, conflict, "app")},
		{"1.3", "an app with another image's tag", plan{app: func(a *poco.App) { a.Multiaddr = append(a.Multiaddr, '1') }}, nil, refused(13, conflict, "app")},
		{"7.1", "a release that was withdrawn", plan{}, revoke(func(r *record.Revocation) {}, ours), refused(12, revoked, "revocation")},
		{"7.1", "a release that was withdrawn by a stranger", plan{}, revoke(func(r *record.Revocation) {}, theirs), accepted()},
		{"7.1", "a release of whose image another app was withdrawn", plan{}, revoke(func(r *record.Revocation) { r.App[0] ^= 1 }, ours), accepted()},
		{"7.1", "a release of whose image an app on another chain was withdrawn", plan{}, revoke(func(r *record.Revocation) { r.ChainID++ }, ours), accepted()},
		{"7.1", "a revocation that cannot be read", plan{}, func(ctx context.Context, m *maker, r *released) error {
			_, err := registry.Client{}.Attest(ctx, r.image, m.ours, registry.Attestation{Type: record.RevocationType, Predicate: map[string]int{"version": 1}})
			return err
		}, refused(12, revoked, "revocation")},
		{"10.1", "an order that was closed", plan{}, closeOrder, refused(14, spent, "order on chain", "order on market")},
		{"11.1", "an order that was taken out of the market", plan{}, func(ctx context.Context, _ *maker, r *released) error {
			_, err := r.market.Unpublish(ctx, r.owner, r.Order.Hash)
			return err
		}, refused(14, noOrder, "order on market")},
		{"2.3", "an app that was given to somebody else", plan{}, giveAway, refused(13, conflict, "app", "record", "order on market")},
		{"2.10", "a record without a signature, whose order the owner presigned", plan{}, unlisted(presign), accepted()},
		{"2.10", "a record without a signature, whose order nobody presigned", plan{}, unlisted(func(_ context.Context, _ *maker, r *released) error { return r.Commit() }), refused(12, badRecord, "record", "order on chain")},
		{"2.10", "a record without a signature, whose order the owner presigned and closed", plan{}, unlisted(func(ctx context.Context, m *maker, r *released) error {
			if err := presign(ctx, m, r); err != nil {
				return err
			}
			return closeOrder(ctx, m, r)
		}), refused(14, spent, "order on chain")},
		{"2.10", "a record without a signature, whose order a former owner presigned", plan{}, unlisted(func(ctx context.Context, m *maker, r *released) error {
			buyer, err := account(strangerAccount)
			if err != nil {
				return err
			}
			r.App.Owner = record.Address(buyer.Address)
			if err := presign(ctx, m, r); err != nil {
				return err
			}
			return giveAway(ctx, m, r)
		}), refused(12, badRecord, "record", "order on chain")},
		{"2.10", "a record without a signature, of an app that was given away since", plan{}, unlisted(func(ctx context.Context, m *maker, r *released) error {
			if err := presign(ctx, m, r); err != nil {
				return err
			}
			return giveAway(ctx, m, r)
		}), refused(13, conflict, "app", "record", "order on chain")},
		{"2.9", "a record without a signature, whose order was closed and is open again", plan{}, unlisted(presignAgain), accepted()},
		{"2.9", "a record without a signature, whose order was opened again for another commit", plan{}, unlisted(func(ctx context.Context, m *maker, r *released) error {
			err := presignAgain(ctx, m, r)
			r.Source.Commit = strings.Repeat("c1", 20)
			return err
		}), refused(12, badRecord)},
		{"2.9", "a record without a signature, whose order names another commit", plan{}, unlisted(func(ctx context.Context, m *maker, r *released) error {
			err := presign(ctx, m, r)
			r.Source.Commit = strings.Repeat("c1", 20)
			return err
		}), refused(12, badRecord)},
		{"2.9", "a record without a signature, whose order names no record", plan{}, unlisted(func(_ context.Context, _ *maker, r *released) error {
			r.Signature, r.Order.Signed.Sign = nil, nil
			return nil
		}), refused(12, badRecord)},
		{"2.9", "a record without a signature, whose order is signed", plan{}, unlisted(func(_ context.Context, _ *maker, r *released) error {
			r.Signature = nil
			return nil
		}), refused(12, badRecord)},
		{"3.1", "a tag that names another image now", plan{}, moveTag, refused(12, moved, "image")},
	}
}

// unlisted takes the order that was offered out of the market before.
func unlisted(then happening) happening {
	return func(ctx context.Context, m *maker, r *released) error {
		if _, err := r.market.Unpublish(ctx, r.owner, r.Order.Hash); err != nil {
			return err
		}
		return then(ctx, m, r)
	}
}

// presign has the owner presign an order that names the record, in place of signatures: what
// a contract does, anybody can.
func presign(ctx context.Context, _ *maker, r *released) error {
	if err := r.Commit(); err != nil {
		return err
	}
	method, argument := r.Order.Signed.Presigning()
	_, err := r.chain.Send(ctx, r.owner, r.chain.HubContract(), method, argument)
	return err
}

// presignAgain has the owner close that order, and presign the next one that names the record.
func presignAgain(ctx context.Context, m *maker, r *released) error {
	if err := presign(ctx, m, r); err != nil {
		return err
	}
	if err := closeOrder(ctx, m, r); err != nil {
		return err
	}
	if _, _, err := r.Reopen(ctx, r.chain); err != nil {
		return err
	}
	method, argument := r.Order.Signed.Presigning()
	_, err := r.chain.Send(ctx, r.owner, r.chain.HubContract(), method, argument)
	return err
}

// otherSource has the provenance say something else of the source.
func otherSource(change func(*record.Source)) func(record.Source) []registry.Attestation {
	return func(s record.Source) []registry.Attestation {
		change(&s)
		return []registry.Attestation{s.Provenance(version)}
	}
}

// nameKey has the record name another key than the one that signed.
func (r *released) nameKey(ctx context.Context, key *signing.Key) error {
	who, err := key.Who()
	if err != nil {
		return err
	}
	r.Image.PublicKey = who.PublicKey
	return r.Sign(ctx, r.owner)
}

// signer is who signs.
type signer = func(*maker) *signing.Key

func ours(m *maker) *signing.Key   { return m.ours }
func theirs(m *maker) *signing.Key { return m.theirs }

func revoke(change func(*record.Revocation), by signer) happening {
	return func(ctx context.Context, m *maker, r *released) error {
		said := record.Revocation{Version: r.Version, Reason: "it is bad", ChainID: r.App.ChainID, App: r.App.Address}
		change(&said)
		_, err := registry.Client{}.Attest(ctx, r.image, by(m), said.Attestation())
		return err
	}
}

func closeOrder(ctx context.Context, _ *maker, r *released) error {
	_, err := node.CloseAll(ctx, r.chain, r.owner, []node.Closable{r.Order.Signed.AppOrder})
	return err
}

// moveTag has the release's tag name another image.
func moveTag(_ context.Context, _ *maker, r *released) error {
	tag, err := name.NewTag(r.Image.Reference)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	other, err := random.Image(64, 1)
	if err == nil {
		err = remote.Write(tag, other)
	}
	if err != nil {
		return fmt.Errorf("moving a tag: %w", err)
	}
	return nil
}

const transferABI = `[{"type": "function", "name": "transferFrom", "inputs": [{"type": "address"}, {"type": "address"}, {"type": "uint256"}]}]`

// giveAway transfers the app, which is a token of the registry.
func giveAway(ctx context.Context, m *maker, r *released) error {
	registry, err := abi.JSON(strings.NewReader(transferABI))
	if err != nil {
		return fmt.Errorf("reading an ABI: %w", err)
	}
	to, err := account(strangerAccount)
	if err != nil {
		return err
	}
	c := m.chain(r.profile.Name)
	opts := bind.NewKeyedTransactor(world.Key(ownerAccount), new(big.Int).SetUint64(c.ID))
	opts.Context = ctx
	if c.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	app := common.Address(r.App.Address)
	data, err := registry.Pack("transferFrom", r.owner.Address, to.Address, app.Big())
	if err != nil {
		return fmt.Errorf("packing a call: %w", err)
	}
	tx, err := bind.NewBoundContract(r.chain.AppRegistry, abi.ABI{}, c.Client, c.Client, c.Client).RawTransact(opts, data)
	if err != nil {
		return fmt.Errorf("transferring an app: %w", err)
	}
	receipt, err := protocol.Mined(ctx, c.Client, tx.Hash())
	if err == nil && receipt.Status != 1 {
		err = errors.New("transferring an app: the transaction was reverted")
	}
	return err
}

func (m *maker) chain(name string) world.Chain {
	if m.world.V5.Name == name {
		return m.world.V5
	}
	return m.world.V6
}

// histories adds a vector of each release, on a chain.
func (s *set) histories(ctx context.Context, m *maker, c world.Chain, all []happened) error {
	for _, h := range all {
		says := h.says + ", on " + c.Name
		r, err := m.release(ctx, c, h.plan)
		if err == nil && h.then != nil {
			err = h.then(ctx, m, &r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", says, err)
		}
		b, err := r.keep(ctx, m.world.Sigstore)
		if err != nil {
			return fmt.Errorf("%s: %w", says, err)
		}
		if err := s.add(h.clause, says, b, h.want, "--chain", c.Name); err != nil {
			return err
		}
	}
	return nil
}
