package enclave_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// written writes files into a folder of their own, and returns their paths.
func written(t *testing.T, contents ...[]byte) []string {
	t.Helper()
	var paths []string
	for i, content := range contents {
		path := filepath.Join(t.TempDir(), string(rune('a'+i)))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// An SGXS stream and a SIGSTRUCT that are named together are one enclave.
func TestSignatureBesideAStream(t *testing.T) {
	stream := append([]byte("ECREATE\x00\x01\x00\x00\x00\x00\x00\x01\x00"), make([]byte, 48)...)
	measured, err := sgx.MeasureSGXS(t.Context(), strings.NewReader(string(stream)))
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := sign(t, measured), sign(t, sgx.MRENCLAVE{1})
	for name, tt := range map[string]struct {
		files  [][]byte
		used   int
		proven bool
		err    bool
	}{
		"stream alone":           {[][]byte{stream}, 1, false, false},
		"stream and its own":     {[][]byte{stream, right}, 2, true, false},
		"signature first":        {[][]byte{right, stream}, 2, true, false},
		"another's signature":    {[][]byte{stream, wrong}, 2, false, true},
		"two streams":            {[][]byte{stream, stream}, 1, false, false},
		"two signatures":         {[][]byte{right, right}, 1, false, true},
		"something else behind":  {[][]byte{stream, []byte("x")}, 1, false, false},
		"something else before":  {[][]byte{[]byte("x"), stream}, 1, false, true},
		"a file that is missing": {[][]byte{stream}, 1, false, false},
	} {
		paths := written(t, tt.files...)
		if strings.Contains(name, "missing") {
			paths = append(paths, filepath.Join(t.TempDir(), "missing"))
		}
		f, _, used, err := enclave.Options{}.OpenSigned(t.Context(), paths)
		if err == nil {
			err = f.Judge(name)
		}
		if used != tt.used || (err != nil) != tt.err || err == nil && f.Enclaves[0].Proven() != tt.proven {
			t.Errorf("%s: %d used, %v; want %+v", name, used, err, tt)
		}
	}
	var missing *enclave.OpenError
	if _, _, _, err := (enclave.Options{}).OpenSigned(t.Context(), []string{t.TempDir()}); !errors.As(err, &missing) {
		t.Errorf("a folder: %v, want an OpenError", err)
	}
}

func TestExpect(t *testing.T) {
	body := sgx.MRENCLAVE{7}
	s, err := sgx.ParseSIGSTRUCT(sign(t, body))
	if err != nil {
		t.Fatal(err)
	}
	measured := enclave.Enclave{Computed: body, SIGSTRUCT: s}
	other := enclave.Enclave{Computed: sgx.MRENCLAVE{8}, SIGSTRUCT: s}
	unmeasured := enclave.Enclave{SIGSTRUCT: s, Unmeasured: errors.New("no plan")}
	mrenclave, signer := body.String(), s.MRSIGNER().String()
	for name, tt := range map[string]struct {
		all   []enclave.Enclave
		want  []string
		right bool
	}{
		"the measurement":               {[]enclave.Enclave{measured}, []string{mrenclave}, true},
		"upper case and 0x":             {[]enclave.Enclave{measured}, []string{"0x" + strings.ToUpper(mrenclave)}, true},
		"the signer":                    {[]enclave.Enclave{measured}, []string{signer}, true},
		"both":                          {[]enclave.Enclave{measured}, []string{signer, mrenclave}, true},
		"one of them":                   {[]enclave.Enclave{measured}, []string{signer, sgx.MRENCLAVE{9}.String()}, false},
		"another measurement":           {[]enclave.Enclave{measured}, []string{sgx.MRENCLAVE{9}.String()}, false},
		"one of two ways to load it":    {[]enclave.Enclave{measured, other}, []string{mrenclave}, false},
		"the signer of both":            {[]enclave.Enclave{measured, other}, []string{signer}, true},
		"a value that is only signed":   {[]enclave.Enclave{unmeasured}, []string{mrenclave}, false},
		"the signer of what is no more": {[]enclave.Enclave{unmeasured}, []string{signer}, true},
		"nothing":                       {[]enclave.Enclave{measured}, nil, true},
	} {
		err := (&enclave.File{Enclaves: tt.all}).Expect("file", tt.want)
		var wrong *enclave.ExpectedError
		if errors.As(err, &wrong) == tt.right || err != nil && tt.right {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "x", mrenclave[1:], mrenclave + "0", "0x"} {
		if err := enclave.CheckExpected([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Of a signature alone nothing was measured, and what it does not even say is wrong.
func TestCheckOfASignature(t *testing.T) {
	s, err := sgx.ParseSIGSTRUCT(sign(t, sgx.MRENCLAVE{7}))
	if err != nil {
		t.Fatal(err)
	}
	f := &enclave.File{Kind: enclave.KindSIGSTRUCT, Enclaves: []enclave.Enclave{{SIGSTRUCT: s, Unmeasured: errors.New("no plan")}}}
	for want, wrong := range map[string]bool{sgx.MRENCLAVE{7}.String(): false, s.MRSIGNER().String(): false, sgx.MRENCLAVE{8}.String(): true} {
		err := f.Check("file", []string{want})
		var expected *enclave.ExpectedError
		var only *enclave.SignatureOnlyError
		if errors.As(err, &expected) != wrong || errors.As(err, &only) == wrong {
			t.Errorf("%s: %v", want, err)
		}
	}
	if f.Enclaves[0].Unmeasured == nil {
		t.Error("the file was changed")
	}
}

// What other tools show of a SIGSTRUCT, as they show it.
func TestDetails(t *testing.T) {
	for name, tt := range map[string]struct {
		body sgx.Body
		want []string
	}{
		"Intel's":               {sgx.Body{Date: 0x20240811, Vendor: 0x8086, MiscMask: 0xffffffff, Attributes: sgx.Attributes{Flags: 0x14, XFRM: 3}}, []string{"date 2024-08-11, vendor 0x8086 (Intel)", "attributes 0x0000000000000014 (64-bit, provisioning key), mask 0x0000000000000000", "XFRM 0x0000000000000003", "MISCSELECT 0x00000000, mask 0xffffffff"}},
		"without a date":        {sgx.Body{}, []string{"date none, vendor none, SWDEFINED 0x0", "(none)", "!CET"}},
		"Gramine's numbers":     {sgx.Body{Date: 2021<<16 | 11<<8 | 28}, []string{"date 2021-11-28 (written as numbers, not in BCD)"}},
		"no day":                {sgx.Body{Date: 0x20241341}, []string{"date 0x20241341 (no calendar day)"}},
		"numbers of no day":     {sgx.Body{Date: 2021<<16 | 2<<8 | 30}, []string{"(no calendar day)"}},
		"key separation":        {sgx.Body{FamilyID: [16]byte{1}, ExtendedProductID: [16]byte{2}, Attributes: sgx.Attributes{Flags: sgx.KeySeparation | 1<<40}}, []string{"family id 01000000000000000000000000000000, extended product id 0200", "(key separation, and 0x10000000000)"}},
		"for the signer's use":  {sgx.Body{SWDefined: 0x10, CETMask: 3}, []string{"SWDEFINED 0x10", "CET attributes 0x0, mask 0x3"}},
		"ids that do not count": {sgx.Body{FamilyID: [16]byte{}}, []string{"!family id"}},
	} {
		signature, err := sgx.Sign(tt.body, testKey(t))
		if err != nil {
			t.Fatal(err)
		}
		e := enclave.Enclave{Part: "it", SIGSTRUCT: signature}
		text := strings.Join(e.Report().Lines(), "\n")
		for _, want := range tt.want {
			if part, absent := strings.CutPrefix(want, "!"); strings.Contains(text, part) == absent {
				t.Errorf("%s: want %q in\n%s", name, want, text)
			}
		}
	}
}
