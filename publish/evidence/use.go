package evidence

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// Use is how a verification keeps what it is told, or is made from what was kept. Its
// zero value asks and keeps nothing.
type Use struct {
	Save   string // file that is written
	Bundle string // file that is read, in the place of everything outside
	Block  Block  // hash of the block that the file must be proven at; empty: whoever made the file chose it

	recorder Recorder
	file     File
	record   record.Record // in the file
	facts    *proof.Facts
}

// Block is the hash of a block as it is given.
type Block string

// UnmarshalText refuses one that is empty, as an unset variable leaves it: that would be to
// give none, and to believe whoever made the file.
func (b *Block) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("it is empty: want 0x and 64 hex digits")
	}
	*b = Block(text)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (b Block) MarshalText() ([]byte, error) { return []byte(b), nil }

// Read reads the file, and the record in it. Errors: *Error, *record.Error.
func (e *Use) Read() (r record.Record, err error) {
	if e.file, err = Read(e.Bundle); err != nil {
		return r, err
	}
	e.record, err = record.Parse([]byte(e.file.Record))
	return e.record, err
}

// Registry is a client that keeps what it is told, or asks the file.
func (e *Use) Registry(c registry.Client) registry.Client {
	switch {
	case e.Bundle != "":
		c = registry.Client{Around: e.file.Around(Registry)} // without logins
	case e.Save != "":
		c.Around = e.recorder.Around(Registry)
	}
	return c.Remembering()
}

// Connect is [record.Connect], and with a file checks its proof. Errors: those of
// [node.Connect], *proof.Error.
func (e *Use) Connect(ctx context.Context, profile poco.Chain) (record.World, error) {
	around := record.Around{}
	switch {
	case e.Bundle != "":
		around = record.Around{Node: e.file.Around(Node), Market: e.file.Around(Market)}
		profile.Spare = nil // one file answers
	case e.Save != "":
		around = record.Around{Node: e.recorder.Around(Node), Market: e.recorder.Around(Market)}
	}
	if err := e.check(profile); err != nil {
		return record.World{}, err
	}
	w, err := record.ConnectAround(ctx, profile, around)
	if e.Bundle != "" {
		w.Saved = &record.Saved{File: e.Bundle, Made: e.file.Made, Facts: e.facts, Unproven: e.file.Unproven, Given: e.Block != ""}
	}
	return w, err
}

// check checks the file's proof against the block that was given.
func (e *Use) check(profile poco.Chain) error {
	if e.Bundle == "" {
		return nil
	}
	if e.file.Proof == nil {
		if e.Block == "" {
			return nil
		}
		return &proof.Error{Problem: "is not in the file: " + e.file.Unproven, Got: "none", Want: "a proof at block " + string(e.Block)}
	}
	f, err := e.file.Proof.Check(claim(profile, e.record))
	if err != nil {
		return err
	}
	if want := common.HexToHash(string(e.Block)); e.Block != "" && f.Block.Hash != want {
		return &proof.Error{Problem: "is of another block than the one that was given", Got: f.Block.String(), Want: want.Hex()}
	}
	e.facts = &f
	return nil
}

func claim(profile poco.Chain, r record.Record) proof.Claim {
	return proof.Claim{Domain: profile.Domain(), App: common.Address(r.App.Address), Order: r.Order.Hash, Presigned: len(r.Order.Signed.Sign) == 0}
}

// Runner is why nothing is run for a file: a builder would ask for the image's base. It is
// nil where something may be.
func (e *Use) Runner() error {
	if e.Bundle == "" {
		return nil
	}
	return &measure.NotRunError{Flag: "--bundle"}
}

// Keep writes what the verification was told, unless a link of it failed; ended is how it
// ended, which is returned. It tells what it wrote. Errors: also *Error.
func (e *Use) Keep(ctx context.Context, w record.World, s record.Subject, tell func(format string, args ...any), ended error) error {
	var failed *record.UnverifiedError
	if e.Save == "" || errors.As(ended, &failed) {
		return ended
	}
	if s.Missing != nil {
		tell("%s is not written: there is no record to verify by", e.Save)
		return ended
	}
	text, err := s.Record.Encode()
	if err != nil {
		return errors.Join(ended, err)
	}
	f := File{Schema: Schema, Made: time.Now().UTC().Truncate(time.Second), Record: string(text)}
	f.Answers = e.recorder.Answers() // without those to what follows, which are in the proof
	said := "without a proof"
	if made, facts, err := node.Prove(ctx, w.Chain, claim(w.Chain.Chain, s.Record), s.OnChain()); ctx.Err() != nil {
		return errors.Join(ended, ctx.Err())
	} else if err != nil {
		f.Unproven = reason(err)
		said += ", since " + f.Unproven
	} else {
		f.Proof, said = &made, "with a proof at "+facts.Block.String()
	}
	if err := f.Write(e.Save); err != nil {
		return errors.Join(ended, err)
	}
	tell("%s is written, %s", e.Save, said)
	return ended
}

// reason is why there is no proof, as far as it is read again.
func reason(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}
