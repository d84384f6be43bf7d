package corim

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Profile is the object identifier of Intel's profile.
const Profile = "2.16.840.1.113741.1.16.1"

// profile is that of Profile, as DER has the content of an object identifier.
const profile = "\x60\x86\x48\x01\x86\xf8\x4d\x01\x10\x01"

// Reference is what a quote of an enclave must say. What is not known is absent: an enclave
// that nobody signed has no more than its MRENCLAVE.
type Reference struct {
	MRENCLAVE sgx.MRENCLAVE `json:"mrenclave"`
	// Synthetic says that a stand-in toolchain made it, so that no quote has it.
	Synthetic       bool          `json:"synthetic,omitempty"`
	MRSIGNER        *sgx.MRSIGNER `json:"mrsigner,omitempty"`
	ProductID       *uint16       `json:"isvprodid,omitempty"`
	SecurityVersion *uint16       `json:"isvsvn,omitempty"`
	Attributes      *Masked       `json:"attributes,omitempty"` // 16 bytes: flags and XFRM, the lowest byte of each first
	MiscSelect      *Masked       `json:"miscselect,omitempty"` // 4 bytes, the lowest first
}

// Masked is a value of which the bits count that are set in the mask. Both are bytes in the
// order that a quote has.
type Masked struct {
	Value Hex `json:"value"`
	Mask  Hex `json:"mask"`
}

// Hex is bytes that are written as lower-case hex digits.
type Hex []byte

// MarshalText implements [encoding.TextMarshaler].
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hex) UnmarshalText(text []byte) (err error) {
	if *h, err = hex.DecodeString(string(text)); err != nil {
		return fmt.Errorf("reading hex digits: %w", err)
	}
	return nil
}

// initialised is the bit of the attributes that the processor sets when it starts an enclave.
const initialised = 1 << 0

// Sign adds what the signature of an enclave demands of it. A signature's mask may cover the
// bit that says that an enclave is initialised, which is 0 in each signature and 1 in each
// quote: that bit is left out of the mask.
func (r *Reference) Sign(s *sgx.SIGSTRUCT) {
	b, signer := s.Body(), s.MRSIGNER()
	r.MRSIGNER, r.ProductID, r.SecurityVersion = &signer, &b.ProductID, &b.SecurityVersion
	mask := b.AttributesMask
	mask.Flags &^= initialised
	r.Attributes = &Masked{attributes(b.Attributes), attributes(mask)}
	r.MiscSelect = &Masked{binary.LittleEndian.AppendUint32(nil, b.MiscSelect), binary.LittleEndian.AppendUint32(nil, b.MiscMask)}
}

func attributes(a sgx.Attributes) Hex {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a.Flags), a.XFRM)
}

// String says what there is, in words.
func (r Reference) String() string {
	text := "MRENCLAVE " + r.MRENCLAVE.String()
	if r.MRSIGNER != nil {
		text += ", MRSIGNER " + r.MRSIGNER.String()
	}
	if r.ProductID != nil && r.SecurityVersion != nil {
		text += fmt.Sprintf(", ISVPRODID %d, ISVSVN %d", *r.ProductID, *r.SecurityVersion)
	}
	return text
}

// The bytes of a quote's values.
const (
	attributesSize = 16
	miscSelectSize = 4
)

// Check makes sure that values have the size that they have in a quote, and that what only a
// signature says is there with all else that it says.
func (r Reference) Check() error {
	signed := r.MRSIGNER != nil
	if (r.ProductID != nil) != signed || (r.SecurityVersion != nil) != signed || (r.Attributes != nil) != signed || (r.MiscSelect != nil) != signed {
		return errors.New("some of what a signature says is missing")
	}
	if signed && !(r.Attributes.has(attributesSize) && r.MiscSelect.has(miscSelectSize)) {
		return fmt.Errorf("attributes and their mask have %d bytes, MISCSELECT and its mask %d", attributesSize, miscSelectSize)
	}
	return nil
}

func (m Masked) has(size int) bool { return len(m.Value) == size && len(m.Mask) == size }

// Debug reports whether the enclave is signed to run in debug mode.
func (r Reference) Debug() bool {
	return r.Attributes != nil && len(r.Attributes.Value) > 0 && uint64(r.Attributes.Value[0])&sgx.Debug != 0
}

// The tags of CBOR that are used, as the two drafts have them.
const (
	tagOID    = 111 // an object identifier
	tagCoRIM  = 501
	tagCoMID  = 506 // in a byte string
	tagBytes  = 560
	tagMasked = 563 // a raw value with its mask
)

// sha256 is the number of that algorithm in IANA's registry "Named Information Hash Algorithm".
const sha256 = 1

type manifest struct {
	ID      string     `cbor:"0,keyasint"`
	Tags    []cbor.Tag `cbor:"1,keyasint"`
	Profile cbor.Tag   `cbor:"3,keyasint"`
}

type module struct {
	Identity struct {
		ID string `cbor:"0,keyasint"`
	} `cbor:"1,keyasint"`
	Triples struct {
		References []triple `cbor:"0,keyasint"`
	} `cbor:"4,keyasint"`
}

type triple struct {
	_            struct{} `cbor:",toarray"`
	Environment  environment
	Measurements []measurement
}

type environment struct {
	Class struct {
		ID    cbor.Tag `cbor:"0,keyasint"`
		Model string   `cbor:"2,keyasint"`
	} `cbor:"0,keyasint"`
}

type measurement struct {
	Values values `cbor:"1,keyasint"`
}

// values are the measurement's: the negative keys are those of Intel's profile.
type values struct {
	Digests         []digest  `cbor:"2,keyasint"`
	SecurityVersion *uint16   `cbor:"-73,keyasint,omitempty"`
	MiscSelect      *cbor.Tag `cbor:"-81,keyasint,omitempty"`
	Attributes      *cbor.Tag `cbor:"-82,keyasint,omitempty"`
	MRTEE           []digest  `cbor:"-83,keyasint"`
	MRSIGNER        []digest  `cbor:"-84,keyasint,omitempty"`
	ProductID       *uint16   `cbor:"-85,keyasint,omitempty"`
}

type digest struct {
	_         struct{} `cbor:",toarray"`
	Algorithm int
	Value     []byte
}

// Encode writes the CoRIM of the enclave in an image, which is named by the SHA-256 of its
// manifest: it identifies the CoRIM, its one CoMID and the environment that is measured.
func (r Reference) Encode(image [32]byte) ([]byte, error) {
	options := cbor.CoreDetEncOptions()
	mode, err := options.EncMode()
	if err != nil {
		return nil, fmt.Errorf("encoding CoRIM: %w", err)
	}
	name := fmt.Sprintf("sha256:%x", image)
	var m module
	m.Identity.ID = name
	m.Triples.References = []triple{{Environment: r.environment(image), Measurements: []measurement{{r.values()}}}}
	inner, err := mode.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding CoMID: %w", err)
	}
	data, err := mode.Marshal(cbor.Tag{Number: tagCoRIM, Content: manifest{name, []cbor.Tag{{Number: tagCoMID, Content: inner}}, cbor.Tag{Number: tagOID, Content: []byte(profile)}}})
	if err != nil {
		return nil, fmt.Errorf("encoding CoRIM: %w", err)
	}
	return data, nil
}

func (r Reference) environment(image [32]byte) (e environment) {
	e.Class.ID, e.Class.Model = cbor.Tag{Number: tagBytes, Content: image[:]}, "SGX enclave"
	if r.Synthetic {
		e.Class.Model += ", synthetic: measured by a stand-in"
	}
	return e
}

func (r Reference) values() values {
	mrtee := []digest{{Algorithm: sha256, Value: r.MRENCLAVE[:]}}
	v := values{Digests: mrtee, MRTEE: mrtee, SecurityVersion: r.SecurityVersion, ProductID: r.ProductID, MiscSelect: r.MiscSelect.tag(), Attributes: r.Attributes.tag()}
	if r.MRSIGNER != nil {
		v.MRSIGNER = []digest{{Algorithm: sha256, Value: r.MRSIGNER[:]}}
	}
	return v
}

func (m *Masked) tag() *cbor.Tag {
	if m == nil {
		return nil
	}
	return &cbor.Tag{Number: tagMasked, Content: [2][]byte{m.Value, m.Mask}}
}
