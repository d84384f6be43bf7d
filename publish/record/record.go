package record

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Schema names the layout of a record.
const Schema = "mrelease.record/v1"

// Record is the document of one release. It states what anybody can look up
// again, and nothing of the run that wrote it (no times, machines or
// transactions), so that every run of the same release writes the same bytes.
//
// The owner of the app signs it, which ties what the chain does not hold
// (commit, signing key) to what it does. A reader needs no key but the chain's
// answer to who owns the app. An owner that is a contract signs nothing: its record has
// no signatures, and is named by the salt of the order, which the owner presigns (see
// Commit).
type Record struct {
	Schema    string        `json:"schema"`
	Version   string        `json:"version"`
	Source    Source        `json:"source"`
	Image     Image         `json:"image"`
	Enclave   Enclave       `json:"enclave"`
	SBOM      *SBOM         `json:"sbom,omitempty"` // absent when none was asked for
	App       App           `json:"app"`
	Canary    *Canary       `json:"canary,omitempty"` // absent when there was none
	Order     Order         `json:"order"`
	Signature hexutil.Bytes `json:"signature,omitempty"` // see Sign; absent when the owner is a contract
}

// Source says what the image was made from.
type Source struct {
	Commit string `json:"commit,omitempty"` // git's object name; empty outside a repository
	// Dirty says that the image was made from something else than the commit: files were
	// changed, or there was none.
	Dirty bool `json:"dirty,omitempty"`
	// Cache is the repository of steps, which others may have built, that the build could take
	// instead of building them; empty: it could take none.
	Cache  string  `json:"cache,omitempty"`
	Epoch  int64   `json:"epoch"`  // the time of the image, seconds since 1970: the one asked for, or the commit's
	Inputs v1.Hash `json:"inputs"` // see registry.InputsAnnotation
	// Unsealed is the config digest of the image before mrelease sealed it, which
	// a rebuild must give; absent when the Dockerfile seals.
	Unsealed  *v1.Hash   `json:"unsealed,omitempty"`
	Materials []Material `json:"materials,omitempty"`
}

// State says in words what the source is of.
func (s Source) State() string {
	switch {
	case s.Dirty && s.Commit != "":
		return "changes to commit " + s.Commit
	case s.Dirty || s.Commit == "":
		return "no commit"
	}
	return "commit " + s.Commit
}

// ReadAnnotations takes from an image's manifest what only the machine that
// built it knew.
func (s *Source) ReadAnnotations(annotations map[string]string) error {
	if text := annotations[registry.UnsealedAnnotation]; text != "" {
		digest, err := v1.NewHash(text)
		if err != nil {
			return fmt.Errorf("reading annotation %s: %w", registry.UnsealedAnnotation, err)
		}
		s.Unsealed = &digest
	}
	if text := annotations[registry.MaterialsAnnotation]; text != "" {
		err := bounds.CheckJSON([]byte(text))
		if err == nil {
			err = json.Unmarshal([]byte(text), &s.Materials)
		}
		if err != nil {
			return fmt.Errorf("reading annotation %s: %w", registry.MaterialsAnnotation, err)
		}
	}
	return nil
}

// Image names the image and who signed it.
type Image struct {
	Reference string  `json:"reference"`           // registry/repository:tag
	Digest    v1.Hash `json:"digest"`              // of the manifest
	Config    v1.Hash `json:"config"`              // of the config; the same for every compression of the same content
	PublicKey string  `json:"publicKey,omitempty"` // of the cosign signature, in PEM
	// Identity is whose signature it is, where no key is kept: what a certificate names.
	Identity *signing.Identity `json:"identity,omitempty"`
}

// Enclave is the measurement.
type Enclave struct {
	Format    measure.Format     `json:"format"`
	MRENCLAVE *measure.MRENCLAVE `json:"mrenclave,omitempty"` // absent with format none
	Value     string             `json:"value"`               // what the chain stores
	File      string             `json:"file,omitempty"`      // path of the fingerprint file in the image
	Synthetic bool               `json:"synthetic,omitempty"` // made by a stand-in toolchain
	Basis     *measure.Basis     `json:"basis,omitempty"`     // absent with format none, and in records of before it was found out
	Signature *Signature         `json:"signature,omitempty"` // of a signed program
}

// Measured returns the MRENCLAVE in hex; nothing with format none.
func (e Enclave) Measured() string {
	if e.MRENCLAVE == nil {
		return ""
	}
	return e.MRENCLAVE.String()
}

// Rests says what the measurement rests on; nothing when the record does not.
func (e Enclave) Rests() string {
	if e.Basis == nil {
		return ""
	}
	return e.Basis.String()
}

// Signature is what the SIGSTRUCT in a signed program says.
type Signature struct {
	Program   string       `json:"program"` // its path in the image
	MRSIGNER  sgx.MRSIGNER `json:"mrsigner"`
	ProductID uint16       `json:"isvprodid"`
	SVN       uint16       `json:"isvsvn"`
	Debug     bool         `json:"debug"`
}

// newSignature returns nil for an enclave that is not signed.
func newSignature(s *sgx.SIGSTRUCT, program string) *Signature {
	if s == nil {
		return nil
	}
	b := s.Body()
	return &Signature{program, s.MRSIGNER(), b.ProductID, b.SecurityVersion, b.Debug()}
}

// App is the app and the chain that it is on.
type App struct {
	Chain    string      `json:"chain"` // the profile's name
	ChainID  uint64      `json:"chainId"`
	Hub      Address     `json:"hub"`
	Registry Address     `json:"registry"`
	Address  Address     `json:"address"`
	Owner    Address     `json:"owner"`
	Name     string      `json:"name"`
	Checksum common.Hash `json:"checksum"`
}

// NewEnclave states a measurement, and where in the image it is stated.
func NewEnclave(e measure.Enclave, spec measure.Spec) Enclave {
	stated := Enclave{Format: e.Format, Value: e.Value, Synthetic: e.IsSynthetic(), Signature: newSignature(e.Signature, spec.Program)}
	if e.Format != measure.None {
		stated.MRENCLAVE, stated.File = &e.MRENCLAVE, spec.File
	}
	if e.Basis.Trust != "" {
		stated.Basis = &e.Basis
	}
	return stated
}

// NewApp states an app and where it is.
func NewApp(c *node.Client, reg apps.Registration) App {
	return App{
		Chain: c.Name, ChainID: c.ID, Hub: Address(c.Hub), Registry: Address(c.AppRegistry),
		Address: Address(reg.Address), Owner: Address(reg.App.Owner), Name: reg.App.Name, Checksum: reg.App.Checksum,
	}
}

// Order is the offer.
type Order struct {
	Hash   common.Hash         `json:"hash"`
	Signed poco.SignedAppOrder `json:"signed"`
}

// Address is an account or contract, written with its EIP-55 checksum.
type Address common.Address

// MarshalText implements [encoding.TextMarshaler].
func (a Address) MarshalText() ([]byte, error) { return []byte(common.Address(a).Hex()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Address) UnmarshalText(text []byte) error {
	return (*common.Address)(a).UnmarshalText(text)
}

// OnChain returns the app as the chain must have it.
func (r Record) OnChain() poco.App {
	return poco.App{
		Owner: common.Address(r.App.Owner), Name: r.App.Name, Type: poco.TypeDocker,
		Multiaddr: []byte(apps.Multiaddr(r.Image.Reference)), Checksum: r.App.Checksum, MREnclave: []byte(r.Enclave.Value),
	}
}

// Domain returns the EIP-712 domain of the record's hub.
func (r Record) Domain() poco.Domain {
	return poco.Domain{ChainID: r.App.ChainID, Hub: common.Address(r.App.Hub)}
}

// Sign lets the owner of the app sign the record: an EIP-191 personal message
// (as any wallet signs and checks one) of the text
//
//	mrelease record sha256:<hex>
//
// with the SHA-256 of the record's bytes without the signature.
func (r *Record) Sign(ctx context.Context, w node.Wallet) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	r.Signature, err = w.SignText(ctx, text)
	return err
}

// text is what the owner signs.
func (r Record) text() ([]byte, error) {
	r.Signature = nil
	data, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "mrelease record sha256:%x", sha256.Sum256(data)), nil
}

// Commit gives the record's order the salt that names the record, and the hash that follows
// from it. Whoever presigns this order on chain, with the app's owner's address, vouches for
// every byte of the record: see [orders.Committed]. The document that the salt names is the
// record's bytes without signature, with order.hash and order.signed.salt zero, and with
// order.signed.sign 0x.
func (r *Record) Commit() error { return r.commit(0) }

// commit is Commit with a salt of another generation, which names the same content.
func (r *Record) commit(generation uint64) error {
	content, err := r.content()
	if err != nil {
		return err
	}
	r.Signature = nil
	r.Order.Signed = poco.SignedAppOrder{AppOrder: orders.Committed(r.Domain(), r.Order.Signed.AppOrder, content, generation)}
	r.Order.Hash = r.Order.Signed.Hash(r.Domain())
	return nil
}

// Reopen gives a record that its owner presigned the order of the first generation of which
// runs are left: the same offer and the same content, with another salt, so that the owner
// can sell again what was closed. there tells whether that order is presigned, too. A record
// that was never the owner's is an *Error: a salt alone vouches for nothing. Errors also:
// *orders.GenerationsError, *node.RPCError.
func (r *Record) Reopen(ctx context.Context, c *node.Client) (generation uint64, there bool, err error) {
	if !r.IsPresigned() {
		return 0, false, &Error{"has a signature, and its owner gives none", "signed", "a record that its order names"}
	}
	vouched := false
	for generation := range uint64(orders.Generations) {
		if err := r.commit(generation); err != nil {
			return 0, false, err
		}
		there, err := node.IsSigned(ctx, c, r.Order.Signed, common.Address(r.App.Owner))
		if err != nil {
			return 0, false, err
		}
		left, err := node.Remaining(ctx, c, r.Order.Signed.AppOrder)
		if err != nil {
			return 0, false, err
		}
		vouched = vouched || there
		switch {
		case left.Sign() <= 0:
			continue
		case !vouched:
			return 0, false, r.unvouched(presignedBy(common.Address{}))
		}
		return generation, there, nil
	}
	return 0, false, &orders.GenerationsError{App: common.Address(r.App.Address), Chain: c.Name}
}

// IsPresigned reports whether the record is one of [Record.Commit], for which its order
// vouches; whether the owner presigned that, only the chain tells.
func (r Record) IsPresigned() bool { return len(r.Signature) == 0 && len(r.Order.Signed.Sign) == 0 }

// IsReopened reports whether the record's order is a later one than that of [Record.Commit].
func (r Record) IsReopened() bool {
	first := r
	return r.IsPresigned() && first.Commit() == nil && first.Order.Hash != r.Order.Hash
}

// content is the SHA-256 of what the salt of a presigned order names.
func (r Record) content() ([sha256.Size]byte, error) {
	r.Signature, r.Order.Hash, r.Order.Signed.Salt, r.Order.Signed.Sign = nil, common.Hash{}, common.Hash{}, nil
	data, err := r.Encode()
	return sha256.Sum256(data), err
}

// Encode is the one way to write a record: indented JSON in the order of the
// fields above, with a line feed at the end.
func (r Record) Encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // the & of package URLs stands for itself
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding record: %w", err)
	}
	return out.Bytes(), nil
}
