package sgx_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// vectors are enclaves and signatures made by other people's tools. They lie
// beside the repository, if at all.
const vectors = "../../../shared/vectors"

type vector struct {
	File, Kind          string
	MRENCLAVE, MRSIGNER string
	ISVProdID, ISVSVN   uint16
	Date                string `json:"sigstruct_date"`
	Attributes          string `json:"sigstruct_attributes"`
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors, "expected.json"))
	if os.IsNotExist(err) {
		t.Skipf("no vectors of other tools in %s", vectors)
	}
	var all []vector
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readVector(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.File, func(t *testing.T) {
			switch v.Kind {
			case "sgxs":
				if got, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(readVector(t, v.File))); err != nil || got.String() != v.MRENCLAVE {
					t.Errorf("MRENCLAVE = %s, %v, want %s", got, err, v.MRENCLAVE)
				}
			case "sigstruct":
				s, err := sgx.ParseSIGSTRUCT(readVector(t, v.File))
				if err != nil {
					t.Fatal(err)
				}
				checkVector(t, v, s)
			}
		})
	}
}

func checkVector(t *testing.T, v vector, s *sgx.SIGSTRUCT) {
	t.Helper()
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
	b := s.Body()
	var attributes []byte
	for _, n := range []uint64{b.Attributes.Flags, b.Attributes.XFRM} {
		attributes = binary.LittleEndian.AppendUint64(attributes, n)
	}
	for _, value := range [][3]string{
		{"MRENCLAVE", b.MRENCLAVE.String(), v.MRENCLAVE},
		{"MRSIGNER", s.MRSIGNER().String(), v.MRSIGNER},
		{"ISVPRODID", fmt.Sprint(b.ProductID), fmt.Sprint(v.ISVProdID)},
		{"ISVSVN", fmt.Sprint(b.SecurityVersion), fmt.Sprint(v.ISVSVN)},
		{"date", fmt.Sprintf("%08x", b.Date), v.Date},
		{"attributes", hex.EncodeToString(attributes), v.Attributes},
	} {
		if value[1] != value[2] {
			t.Errorf("%s = %s, want %s", value[0], value[1], value[2])
		}
	}
}

// Another tool's SIGSTRUCT comes out byte for byte from its key and content.
func TestSignAsOthersDo(t *testing.T) {
	readVectors(t)
	key, err := sgx.LoadKey(readVector(t, "fortanix-sig1.key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	want := readVector(t, "fortanix-sig1.sigstruct.bin")
	s, err := sgx.ParseSIGSTRUCT(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := sgx.SignerOf(&key.PublicKey); got != s.MRSIGNER() {
		t.Errorf("the key is of signer %s, want %s", got, s.MRSIGNER())
	}
	if again, err := sgx.Sign(s.Body(), key); err != nil || !bytes.Equal(again.Bytes(), want) {
		t.Errorf("other bytes, %v", err)
	}
}
