// Package approval is what somebody approves before a release: a document that names all
// that the release would write, where, as whom and at what cost, with one hash over all
// of it. It says how the document is read, hashed and compared with what a release is
// about to do; it looks at nothing itself.
//
// The hash is the SHA-256, in lower-case hex, of the document without its member hash, in
// the canonical form of RFC 8785 (JCS): UTF-8, no space, members sorted, strings escaped
// as ECMAScript does. All numbers are decimal strings, so no reader rounds one. Whoever
// has node or jq finds the same:
//
//	jq -jcS 'del(.hash)' plan.json | sha256sum
//
// (jq alone escapes U+007F, which no text here has a use for.)
//
// What is in the document is what an approval is about. What changes by itself and not
// by the release is not: times, how many runs others left of an order, the price of the
// hour, the machine.
package approval

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"

	"github.com/mrelease/mrelease/printable"
)

// Schema names the layout of a document. Another layout has another number.
const Schema = "mrelease.approval/v2"

// Plan is the document. A member that is null is not known before the image is built:
// what it comes to is not approved by its value, and everything else of it is.
type Plan struct {
	Schema  string  `json:"schema"`
	Version string  `json:"version"`
	Source  Source  `json:"source"`
	Chain   Chain   `json:"chain"`
	Image   Image   `json:"image"`
	Enclave Enclave `json:"enclave"`
	App     App     `json:"app"`
	// Secret is the URL of the service that gets the app's secret, as Chain.Market is; no plan
	// has the secret's value. Empty when the app gets none.
	Secret string  `json:"app-secret"`
	Canary *Canary `json:"canary,omitempty"` // absent when none is asked for
	Order  Order   `json:"order"`
	Retire Retire  `json:"retire"`
	// Writes are the things that may be made: image, signature, provenance, reference values,
	// SBOM, VEX, app, secret, groups, canary, order, name. What is there already is not among them.
	Writes []string `json:"writes"`
	Calls  []Call   `json:"calls"` // to contracts, that may be made
	Cost   Cost     `json:"cost"`
	Hash   string   `json:"hash"`
}

// Source is what the image is made from.
type Source struct {
	Commit string `json:"commit"` // git's object name; empty outside a repository
	Dirty  bool   `json:"dirty"`  // it is something else than the commit
	Inputs string `json:"inputs"` // sha256:…, over all that the image is made from
	// Cache is the repository of steps, which others may have built, that the build may take;
	// absent when it may take none.
	Cache string `json:"cache,omitempty"`
}

// Chain is where app and order are written.
type Chain struct {
	Name   string `json:"name"`
	ID     string `json:"id"`     // decimal
	Hub    string `json:"hub"`    // address
	Apps   string `json:"apps"`   // address of the app registry
	Market string `json:"market"` // URL, without user, password and query
}

// Image is what is pushed and signed.
type Image struct {
	Reference string  `json:"reference"` // repository:tag
	Digest    *string `json:"digest"`    // sha256:…, of the manifest
	Signer    *string `json:"signer"`    // public key in PEM, or the URI of a key in a key service whose public half no file has, or the identity and who says so; null also when the key could not be read
	// Services are those that an identity signs with: public for Sigstore's public instance,
	// which publishes who signed what, else sha256:…, of their signing configuration. Empty
	// with a key.
	Services string `json:"services"`
	Layout   string `json:"layout"` // in which signatures and record are kept: referrers or tags
	// Scanner is the image that lists what is in this one, with its digest; absent when none
	// is asked for. What it lists is not approved: nobody knows it before.
	Scanner string `json:"scanner,omitempty"`
	// VEX is sha256:…, of the file with the VEX document; absent when none is attested.
	VEX string `json:"vex,omitempty"`
}

// Enclave is what must be measured.
type Enclave struct {
	Format    string  `json:"format"`
	Trust     string  `json:"trust"`     // what the measurement must rest on at least
	Accepted  string  `json:"accepted"`  // MRENCLAVE of enclave.lock; empty when any is taken
	Lock      string  `json:"lock"`      // sha256:…, of enclave.lock; empty without one
	Debug     bool    `json:"debug"`     // one that is signed for debug mode is taken
	Signers   string  `json:"signers"`   // the MRSIGNER values that are taken, with a space between; empty for any
	Signer    *string `json:"signer"`    // MRSIGNER of the key that the seal signs with; empty without one; null when it could not be read
	MRENCLAVE *string `json:"mrenclave"` // 64 hex digits; empty with format none
}

// App is the app as the chain will have it, for good.
type App struct {
	Address   *string `json:"address"`
	Owner     string  `json:"owner"`
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Multiaddr string  `json:"multiaddr"`
	Checksum  *string `json:"checksum"`
	MREnclave *string `json:"mrenclave"` // the text that the chain stores
	// ENS is the name that is made to lead to the app, and Groups the contracts, sorted, that
	// it is added to; absent when there is none.
	ENS    string   `json:"ens,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Canary is the run that is bought before the order is offered.
type Canary struct {
	Workerpool string `json:"workerpool"`
	MaxPrice   string `json:"max-price"` // nRLC
	Category   string `json:"category"`
	Params     string `json:"params"`
	Deposit    bool   `json:"deposit"`
	Again      bool   `json:"again"`        // another one is bought where the last one failed
	File       string `json:"file"`         // of its result, which must have the digest
	Digest     string `json:"digest"`       // sha256:…
	Judge      string `json:"judge"`        // path of a program
	JudgeIs    string `json:"judge-digest"` // sha256:…, of that file; not of what it starts or reads
	// How long the judge may take, and the run before the release ends without it.
	JudgeTimeout string `json:"judge-timeout"`
	Timeout      string `json:"timeout"`
}

// Order is the offer.
type Order struct {
	Hash               *string `json:"hash"` // EIP-712
	Price              string  `json:"price"`
	Volume             string  `json:"volume"`
	Tag                string  `json:"tag"`
	DatasetRestrict    string  `json:"datasetrestrict"`
	WorkerpoolRestrict string  `json:"workerpoolrestrict"`
	RequesterRestrict  string  `json:"requesterrestrict"`
}

// Retire is what becomes of the orders that the new one takes the place of.
type Retire struct {
	How     string     `json:"how"`     // close, unpublish or keep
	Overlap string     `json:"overlap"` // for which they stay beside it
	Foreign bool       `json:"foreign"` // those too that mrelease did not make
	Orders  []OldOrder `json:"orders"`
}

// OldOrder is an order that may be retired.
type OldOrder struct {
	Hash    string `json:"hash"`
	App     string `json:"app"`
	Version string `json:"version"`
	// Consumed is what the hub then says of it: its volume, when it is closed; empty when
	// the chain is left as it is.
	Consumed string `json:"consumed"`
}

// Call is a call that a transaction makes, decoded.
type Call struct {
	To        string             `json:"to"`       // address of the contract, or app.address for the one that this member names
	Function  string             `json:"function"` // with the types of its arguments
	Arguments map[string]*string `json:"arguments"`
}

// Cost is what the calls cost at most: what is spent on gas beyond that is not approved.
// What a canary's run costs is its max-price, and the gas of its deal.
type Cost struct {
	Payer        string `json:"payer"`           // address of who sends the transactions and pays: the app's owner, or another
	Gas          string `json:"gas"`             // of all calls: what they need, a quarter more, rounded up
	MaxFeePerGas string `json:"max-fee-per-gas"` // wei; no transaction offers more
	Max          string `json:"max"`             // wei: the product
}

// Ceiling is the highest fee for a unit of gas, in wei.
func (c Cost) Ceiling() (uint64, error) {
	fee, err := strconv.ParseUint(c.MaxFeePerGas, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading cost.max-fee-per-gas: %w", err)
	}
	return fee, nil
}

// Seal sets the schema and the hash. The members that are no values of their types (a nil
// list) are set to empty ones: a document has one form.
func (p *Plan) Seal() error {
	p.Schema = Schema
	if p.Writes == nil {
		p.Writes = []string{}
	}
	if p.Calls == nil {
		p.Calls = []Call{}
	}
	if p.Retire.Orders == nil {
		p.Retire.Orders = []OldOrder{}
	}
	canonical, err := p.canonical()
	if err != nil {
		return err
	}
	p.Hash = fmt.Sprintf("%x", sha256.Sum256(canonical))
	return nil
}

// canonical is what the hash is over.
func (p Plan) canonical() ([]byte, error) {
	encoded, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding plan: %w", err)
	}
	return canonical(encoded)
}

// canonical writes a JSON object without its member hash as RFC 8785 says.
func canonical(document []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, fmt.Errorf("reading plan: %w", err)
	}
	delete(members, "hash")
	rest, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("encoding plan: %w", err)
	}
	return transform(rest)
}

// transform writes a JSON object as RFC 8785 says.
func transform(document []byte) ([]byte, error) {
	if !json.Valid(document) { // the library is for what is
		return nil, errors.New("canonicalizing plan: it is no JSON")
	}
	text, err := jsoncanonicalizer.Transform(document)
	if err != nil {
		return nil, fmt.Errorf("canonicalizing plan: %w", err)
	}
	return text, nil
}

// Encode writes the document for people and programs: indented, with a line feed at its
// end. What cannot be seen, or would turn text around it, is written as an escape: who
// reads the file sees what is hashed.
func (p Plan) Encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encoding plan: %w", err)
	}
	return printable.JSON(out.Bytes()), nil
}

// String says which plan it is, and what of it is not known yet.
func (p Plan) String() string {
	if unknown := p.Unknown(); len(unknown) > 0 {
		return fmt.Sprintf("hash %s; not known before the build: %s", p.Hash, strings.Join(unknown, ", "))
	}
	return "hash " + p.Hash
}

// Unknown names the members that are not known yet, as image.digest, sorted.
func (p Plan) Unknown() []string {
	var names []string
	for name, value := range map[string]*string{
		"image.digest": p.Image.Digest, "image.signer": p.Image.Signer, "enclave.mrenclave": p.Enclave.MRENCLAVE, "app.address": p.App.Address,
		"app.checksum": p.App.Checksum, "app.mrenclave": p.App.MREnclave, "order.hash": p.Order.Hash,
	} {
		if value == nil {
			names = append(names, name)
		}
	}
	if p.Enclave.Signer == nil && p.Image.Digest == nil { // what signed a finished image stands in it
		names = append(names, "enclave.signer")
	}
	for i, c := range p.Calls {
		for _, name := range slices.Sorted(maps.Keys(c.Arguments)) {
			if c.Arguments[name] == nil {
				names = append(names, fmt.Sprintf("calls[%d].%s", i, name))
			}
		}
	}
	slices.Sort(names)
	return names
}
