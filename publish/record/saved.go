package record

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
)

// Saved says that what is asked answers from a file, which somebody made. Nothing of what
// happened since can be seen there.
type Saved struct {
	File     string
	Made     time.Time    // by the clock of who made it
	Facts    *proof.Facts // nil: there is no proof
	Unproven string       // why not
	Given    bool         // the hash of the proof's block is the one that whoever verifies gave
}

// AbsentError says that a file does not hold all bytes of an image.
type AbsentError struct{ File string }

func (e *AbsentError) Error() string {
	return "not checked: " + e.File + " does not hold all of the image's bytes"
}

// Unwrap says that nothing was measured either.
func (e *AbsentError) Unwrap() error {
	return &measure.UnmeasuredError{Err: &measure.NotRunError{Flag: "--bundle"}}
}

// HearsayError says that a file is all that says what the chain has: whoever made it may have
// made the chain, too.
type HearsayError struct{ File, Block string }

func (e *HearsayError) Error() string {
	return "not checked: what the chain has is the word of who made " + e.File + ": give a block's hash that you know by --block, to a file with a proof"
}

// Evidence returns what it is proven by.
func (e *HearsayError) Evidence() [][2]string {
	return [][2]string{{"expected", "a proof at a block whose hash was given"}, {"actual", e.File + " is " + e.Block}}
}

// Unwrap says that it was not checked.
func (e *HearsayError) Unwrap() error { return &UncheckedError{"what the chain has"} }

func (s *Saved) proven() *proof.Facts {
	if s == nil {
		return nil
	}
	return s.Facts
}

// settle says of a link that was looked up in a file by whose word it holds, and that what
// the file does not have was not looked at.
func (s *Saved) settle(c Check) Check {
	var absent interface{ Absent() }
	switch {
	case s == nil:
	case errors.As(c.Err, &absent) && c.Name == layersCheck:
		c.Err = &AbsentError{s.File}
	case errors.As(c.Err, &absent):
		c.Err = &UncheckedError{fmt.Sprintf("%s does not have it (%v)", s.File, absent)}
	case c.Err == nil && c.Name == "image":
		c.Evidence += "; whether the tag names it still is not known"
	case c.Err == nil && c.Word == Asserted && c.By != s.maker():
		c.By += ", as who made " + s.File + " has it"
		c.Evidence += "; as of " + s.Made.Format(time.RFC3339) + ", what came later is not known"
	}
	return c
}

// app is by whose word an app is what it is.
func (s *Saved) app(evidence string) found {
	switch {
	case s == nil:
		return asserted(theNode, evidence)
	case s.Facts == nil:
		return asserted(theNode, evidence+"; not proven: "+s.Unproven)
	case s.Given:
		return proved(fmt.Sprintf("%s; at %s, whose hash was given", evidence, s.Facts.Block))
	}
	return asserted(s.maker(), fmt.Sprintf("%s; proven at %s, of which nothing here says that it is in the chain: give a hash that you know by --block", evidence, s.Facts.Block))
}

// maker is whose word it is what is proven at a block that nobody gave.
func (s *Saved) maker() string { return "who made " + s.File }

// presigned is by whose word an order is presigned, which [Saved.signed] found.
func (s *Saved) presigned(evidence string) found {
	switch {
	case s == nil:
		return asserted(theNode, evidence)
	case s.Given:
		return proved(fmt.Sprintf("%s; at block %d, whose hash was given", evidence, s.Facts.Block.Number))
	}
	return asserted(s.maker(), fmt.Sprintf("%s; at block %d, of which nothing here says that it is in the chain", evidence, s.Facts.Block.Number))
}

// unused says as of when an order has runs left, and by whose word.
func (s *Saved) unused() string {
	switch {
	case s == nil:
		return "as the node says"
	case s.Facts == nil:
		return fmt.Sprintf("as the node said, as who made %s has it, as of %s", s.File, s.Made.Format(time.RFC3339))
	case s.Given:
		return fmt.Sprintf("as is proved at block %d, whose hash was given; what came later is not known", s.Facts.Block.Number)
	}
	return fmt.Sprintf("as who made %s has it, at block %d; what came later is not known", s.File, s.Facts.Block.Number)
}

// left is how many runs of an order were left at the block, and whether it is the owner's.
// What the owner did not sign here, a contract may have, which only the hub can ask.
func (s *Saved) left(c *node.Client, order poco.SignedAppOrder, owner common.Address) (*big.Int, error) {
	left := new(big.Int).Sub(order.Volume, s.Facts.Sold)
	if err := s.signed(c, order, owner); err != nil {
		return left, err
	}
	return left, node.CheckLeft(c, order.AppOrder, left)
}

// signed makes sure that an order is signed by the key of the owner's address, or without a
// signature proven to be presigned by the owner: what else a file says of it would be the
// word of who made the file.
func (s *Saved) signed(c *node.Client, order poco.SignedAppOrder, owner common.Address) error {
	if len(order.Sign) == 0 {
		return s.isPresigned(c, order.Hash(c.Domain()), owner)
	}
	signer, err := node.RecoverSigner(order.Hash(c.Domain()), order.Sign)
	if err != nil || signer != owner {
		return &UncheckedError{"the order's signature is none by the key of the owner's address: if that is a contract, only the chain can tell"}
	}
	return nil
}

// isPresigned makes sure that the owner is proven to have presigned an order.
func (s *Saved) isPresigned(c *node.Client, order common.Hash, owner common.Address) error {
	by, err := s.presigner()
	if err != nil {
		return err
	}
	if by == (common.Address{}) || by != owner {
		return &node.OrderError{Hash: order, Problem: "is not presigned by the app's owner", Got: presignedBy(by), Want: "a presignature by " + owner.Hex(), Where: fmt.Sprintf("%s, at %s", c.Name, s.Facts.Block)}
	}
	return nil
}

// presigner is who is proven to have presigned the order; the zero address: nobody did.
func (s *Saved) presigner() (common.Address, error) {
	if s.Facts == nil || s.Facts.Presigner == nil {
		return common.Address{}, &UncheckedError{"the owner's word for the record and its order is a presignature on the chain, of which " + s.File + " has no proof"}
	}
	return *s.Facts.Presigner, nil
}

func presignedBy(who common.Address) string {
	if who == (common.Address{}) {
		return "not presigned"
	}
	return "presigned by " + who.Hex()
}
