package publishtest

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/veraison/corim/comid"
	"github.com/veraison/corim/corim"
	"github.com/veraison/corim/extensions"

	ours "github.com/mrelease/mrelease/measure/corim"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/publish/record"
)

// intelProfile are the measurements of Intel's profile that are written, as a reader
// registers them with veraison's library.
type intelProfile struct {
	SecurityVersion *uint64        `cbor:"-73,keyasint,omitempty" json:"isvsvn,omitempty"`
	MiscSelect      *maskedValue   `cbor:"-81,keyasint,omitempty" json:"miscselect,omitempty"`
	Attributes      *maskedValue   `cbor:"-82,keyasint,omitempty" json:"attributes,omitempty"`
	MRTEE           *comid.Digests `cbor:"-83,keyasint,omitempty" json:"mrtee,omitempty"`
	MRSIGNER        *comid.Digests `cbor:"-84,keyasint,omitempty" json:"mrsigner,omitempty"`
	ProductID       *uint64        `cbor:"-85,keyasint,omitempty" json:"isvprodid,omitempty"`
}

// maskedValue is a raw value with its mask, tag 563, which the library does not know yet.
type maskedValue struct{ value, mask []byte }

func (m *maskedValue) UnmarshalCBOR(data []byte) error {
	var tagged cbor.RawTag
	if err := cbor.Unmarshal(data, &tagged); err != nil {
		return err
	}
	if tagged.Number != 563 {
		return &cbor.UnmarshalTypeError{CBORType: "another tag", GoType: "maskedValue"}
	}
	var pair [2][]byte
	err := cbor.Unmarshal(tagged.Content, &pair)
	m.value, m.mask = pair[0], pair[1]
	return err
}

// Veraison's library reads the CoRIM of a measurement, with the values of Intel's profile.
func TestVeraisonReadsTheMeasurement(t *testing.T) {
	image, err := name.NewDigest("localhost/app@sha256:4be1000000000000000000000000000000000000000000000000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	signer, product, version := sgx.MRSIGNER{7, 8}, uint16(258), uint16(3)
	plain := ours.Reference{MRENCLAVE: sgx.MRENCLAVE{1, 2, 3}}
	full := plain
	full.MRSIGNER, full.ProductID, full.SecurityVersion = &signer, &product, &version
	full.Attributes = &ours.Masked{Value: binary.LittleEndian.AppendUint64([]byte{4, 0, 0, 0, 0, 0, 0, 0}, 3), Mask: bytes.Repeat([]byte{0xfe}, 16)}
	full.MiscSelect = &ours.Masked{Value: []byte{1, 0, 0, 0}, Mask: []byte{0xff, 0xff, 0xff, 0xff}}
	for name, r := range map[string]ours.Reference{"of an enclave that nobody signed": plain, "of a signed enclave": full} {
		t.Run(name, func(t *testing.T) {
			m, err := record.NewMeasurement(image, r)
			if err != nil {
				t.Fatal(err)
			}
			got := readWithVeraison(t, m.CoRIM)
			if want := []byte(r.MRENCLAVE[:]); len(*got.MRTEE) != 1 || (*got.MRTEE)[0].HashAlgID != 1 || !bytes.Equal((*got.MRTEE)[0].HashValue, want) {
				t.Errorf("mrtee is %v, want %x", got.MRTEE, want)
			}
			if r.MRSIGNER == nil {
				if got.MRSIGNER != nil || got.ProductID != nil || got.SecurityVersion != nil || got.Attributes != nil || got.MiscSelect != nil {
					t.Errorf("of an enclave without a signature it says %+v", got)
				}
				return
			}
			if !bytes.Equal((*got.MRSIGNER)[0].HashValue, signer[:]) || *got.ProductID != 258 || *got.SecurityVersion != 3 {
				t.Errorf("got %v, %d, %d", got.MRSIGNER, *got.ProductID, *got.SecurityVersion)
			}
			if !bytes.Equal(got.Attributes.value, r.Attributes.Value) || !bytes.Equal(got.Attributes.mask, r.Attributes.Mask) || !bytes.Equal(got.MiscSelect.value, r.MiscSelect.Value) || !bytes.Equal(got.MiscSelect.mask, r.MiscSelect.Mask) {
				t.Errorf("got %+v, %+v", got.Attributes, got.MiscSelect)
			}
		})
	}
}

// readWithVeraison reads the reference values of a CoRIM with one CoMID, and checks what is
// the same in each.
func readWithVeraison(t *testing.T, data []byte) *intelProfile {
	t.Helper()
	var tagged cbor.RawTag
	if err := cbor.Unmarshal(data, &tagged); err != nil || tagged.Number != 501 {
		t.Fatalf("tag %d, %v", tagged.Number, err)
	}
	manifest := corim.NewUnsignedCorim()
	if err := manifest.FromCBOR(withoutProfileTag(t, tagged.Content)); err != nil {
		t.Fatal(err)
	}
	if err := manifest.Valid(); err != nil {
		t.Error(err)
	}
	if profile, err := manifest.Profile.Get(); err != nil || profile != ours.Profile {
		t.Errorf("profile %q, %v", profile, err)
	}
	if len(manifest.Tags) != 1 {
		t.Fatalf("%d tags", len(manifest.Tags))
	}
	module := comid.NewComid()
	if err := module.RegisterExtensions(extensions.NewMap().Add(comid.ExtReferenceValue, &intelProfile{})); err != nil {
		t.Fatal(err)
	}
	if err := module.FromCBOR(manifest.Tags[0]); err != nil {
		t.Fatal(err)
	}
	if err := module.Valid(); err != nil {
		t.Error(err)
	}
	triples := module.Triples.ReferenceValues.Values
	if len(triples) != 1 || len(triples[0].Measurements.Values) != 1 {
		t.Fatalf("got %+v", triples)
	}
	values := triples[0].Measurements.Values[0].Val
	got, ok := values.GetExtensions().(*intelProfile)
	if !ok || values.Digests == nil || got.MRTEE == nil || !reflect.DeepEqual(*values.Digests, *got.MRTEE) {
		t.Fatalf("got digests %v and %+v", values.Digests, got)
	}
	return got
}

// withoutProfileTag takes the tag from the profile of a CoRIM: the drafts have the object
// identifier as 111(bytes), and the library takes it as an EAT has it, without a tag.
func withoutProfileTag(t *testing.T, manifest []byte) []byte {
	t.Helper()
	var members map[int]cbor.RawMessage
	if err := cbor.Unmarshal(manifest, &members); err != nil {
		t.Fatal(err)
	}
	var profile cbor.RawTag
	if err := cbor.Unmarshal(members[3], &profile); err != nil || profile.Number != 111 {
		t.Fatalf("tag %d, %v", profile.Number, err)
	}
	var tags []cbor.RawTag // of which the library keeps the content alone
	if err := cbor.Unmarshal(members[1], &tags); err != nil || len(tags) != 1 || tags[0].Number != 506 {
		t.Fatalf("tags %v, %v", tags, err)
	}
	members[3] = profile.Content
	without, err := cbor.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return without
}
