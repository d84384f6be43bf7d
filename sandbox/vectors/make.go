package vectors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/world"
)

// Config is the file that says what the chains are.
const Config = "chains.yaml"

// Made are vectors, and the other files that their arguments name.
type Made struct {
	Vectors []Vector
	Files   map[string][]byte
}

// Make makes all vectors in a world.
func Make(ctx context.Context, w *world.World) (Made, error) {
	m, err := newMaker(ctx, w)
	if err != nil {
		return Made{}, err
	}
	presigned, err := m.presigned(ctx, w.V6)
	if err != nil {
		return Made{}, err
	}
	var kept [3]base
	for i, c := range []world.Chain{w.V6, w.V6, w.V5} {
		if kept[i], err = m.keep(ctx, c, plan{}); err != nil {
			return Made{}, err
		}
	}
	b, another, foreign := kept[0], kept[1], kept[2]
	files, err := m.files()
	if err != nil {
		return Made{}, err
	}
	var s set
	err = errors.Join(
		s.histories(ctx, m, w.V6, append(histories(), statements()...)), s.histories(ctx, m, w.V5, histories()),
		s.files(b), s.records(ctx, m, b), s.proofs(b, another, foreign), s.presignatures(presigned), s.answers(b), s.mixed(b, another, foreign), s.asked(b), s.accepted(b), s.jobs(ctx, m))
	return Made{s.all, files}, err
}

// keep makes a release and keeps it.
func (m *maker) keep(ctx context.Context, c world.Chain, p plan) (base, error) {
	r, err := m.release(ctx, c, p)
	if err != nil {
		return base{}, err
	}
	return r.keep(ctx, m.world.Sigstore)
}

// files are what vectors are verified with: keys, roots, and what the chains are.
func (m *maker) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, key := range map[string]*signing.Key{"ours.pub": m.ours, "theirs.pub": m.theirs} {
		who, err := key.Who()
		if err != nil {
			return nil, err
		}
		files[name] = []byte(who.PublicKey)
	}
	var err error
	if files["root.json"], err = m.world.Sigstore.TrustedRoot(); err != nil {
		return nil, err
	}
	if files["expired.json"], err = m.world.Sigstore.TrustedRootUntil(time.Now().Add(-time.Hour)); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("chain: %s\nchains:\n", m.world.V6.Name)
	for _, c := range []world.Chain{m.world.V6, m.world.V5} {
		text += fmt.Sprintf("  %s: {id: %d, rpc: \"http://node.invalid\", hub: %q, market: \"http://market.invalid\", fees: %s, development: true}\n", c.Name, c.ID, c.Hub, c.Fees)
	}
	files[Config] = []byte(text)
	for name, text := range policies() {
		files[name] = []byte(text)
	}
	return files, nil
}

// mixed adds vectors whose parts are of two releases.
func (s *set) mixed(b, another, foreign base) error {
	forge := func(clause, says string, want Want, change func(f *evidence.File)) error {
		return s.forge(clause, says, b, want, func(f *evidence.File) error {
			change(f)
			return nil
		})
	}
	return errors.Join(
		forge("14.4", "the record of another app", refused(13, badProof), func(f *evidence.File) { f.Record = another.file.Record }),
		forge("1.1", "the record of an app on another chain", refused(13, badProof), func(f *evidence.File) { f.Record = foreign.file.Record }),
		forge("14.7", "the answers about another app", incomplete(), func(f *evidence.File) { f.Answers = another.file.Answers }),
		forge("14.7", "no answers", refused(exitUsage, malformed), func(f *evidence.File) { f.Answers = []evidence.Answer{} }),
		forge("14.4", "the record and the proof of another app", refused(13, badProof), func(f *evidence.File) { f.Record, f.Proof = another.file.Record, foreign.file.Proof }),
	)
}

// asked adds vectors that are right, and of which something else is asked.
func (s *set) asked(b base) error {
	text, err := b.file.Encode()
	if err != nil {
		return err
	}
	s.raw("14.3", "no block is given", text, incomplete())
	s.raw("14.3", "another block is given", text, refused(13, badProof), "--block", "0x"+fmt.Sprintf("%064x", 1))
	s.raw("14.3", "half a block's hash is given", text, Want{Exit: exitUsage, Code: "E-USAGE"}, "--block", b.block[:34])
	s.raw("14.3", "an empty block is given", text, Want{Exit: exitUsage, Code: "E-USAGE"}, "--block", "")
	return errors.Join(
		s.add("5.1", "the key is given", b, accepted(), "--key", "ours.pub"),
		s.add("14.7", "another key is given", b, incomplete(), "--key", "theirs.pub"),
		s.add("8.2", "a computed measurement is demanded of an image that has none", b, accepted(), "--trust", "computed"),
		s.add("0.7", "another chain is given", b, Want{Exit: exitUsage, Code: "E-USAGE"}, "--chain", "sandbox-v5"),
		s.add("0.7", "a chain that nobody knows is given", b, Want{Exit: exitUsage, Code: "E-USAGE"}, "--chain", "nowhere"),
	)
}
