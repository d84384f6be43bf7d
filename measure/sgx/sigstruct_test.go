package sgx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
)

func TestSignAndParse(t *testing.T) {
	signed := sign(t, testBody())
	if err := signed.Verify(); err != nil {
		t.Fatal(err)
	}
	if again := sign(t, testBody()); !bytes.Equal(again.Bytes(), signed.Bytes()) {
		t.Error("two signatures of the same enclave differ")
	}
	parsed, err := sgx.ParseSIGSTRUCT(signed.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Body() != testBody() || *parsed != *signed {
		t.Errorf("body = %+v, want %+v", parsed.Body(), testBody())
	}
	if err := parsed.Verify(); err != nil {
		t.Error(err)
	}
}

func TestBody(t *testing.T) {
	b := testBody()
	if day, ok := b.Day(); !ok || day != time.Date(2025, 7, 14, 0, 0, 0, 0, time.UTC) {
		t.Errorf("day = %s, %t", day, ok)
	}
	for _, date := range []uint32{0, 0x20250732, 0x2025071f} {
		if day, ok := (sgx.Body{Date: date}).Day(); ok {
			t.Errorf("%#x is the day %s", date, day)
		}
	}
	if b.Debug() || b.DebugLocked() {
		t.Errorf("debug %t, locked %t", b.Debug(), b.DebugLocked())
	}
	b.Attributes.Flags |= sgx.Debug
	b.AttributesMask.Flags |= sgx.Debug
	if !b.Debug() || !b.DebugLocked() {
		t.Errorf("debug %t, locked %t", b.Debug(), b.DebugLocked())
	}
}

// Each bit of the 1808 bytes is protected: by the signature, by being checked
// against it, or by having one right value.
func TestEveryBitOfSIGSTRUCTCounts(t *testing.T) {
	signed := sign(t, testBody()).Bytes()
	for i := range len(signed) * 8 {
		changed := bytes.Clone(signed)
		changed[i/8] ^= 1 << (i % 8)
		s, err := sgx.ParseSIGSTRUCT(changed)
		if err == nil {
			err = s.Verify()
		}
		var format *sgx.FormatError
		var signature *sgx.SignatureError
		if !errors.As(err, &format) && !errors.As(err, &signature) {
			t.Fatalf("bit %d of byte %d does not count: %v", i%8, i/8, err)
		}
	}
}

// Intel's launch enclave has the release bit. It is signed and found like any
// other bit, and no policy takes it.
func TestReleaseType(t *testing.T) {
	body := testBody()
	body.ReleaseType = true
	signed := sign(t, body)
	if raw := signed.Bytes(); raw[15] != 0x80 {
		t.Errorf("header % x", raw[:16])
	}
	parsed, err := sgx.ParseSIGSTRUCT(signed.Bytes())
	if err != nil || parsed.Body() != body || parsed.Verify() != nil {
		t.Fatalf("%+v, %v", parsed, err)
	}
	file := append([]byte("before"), signed.Bytes()...)
	if found, err := sgx.Find(t.Context(), bytes.NewReader(file), int64(len(file))); err != nil || len(found) != 1 || found[0].Err != nil {
		t.Errorf("%+v, %v", found, err)
	}
	var policy *sgx.PolicyError
	if err := (sgx.Policy{}).Check(parsed); !errors.As(err, &policy) || policy.Violations[0].Rule != "release type" {
		t.Errorf("%v", err)
	}
}

func TestDebugMode(t *testing.T) {
	for want, b := range map[sgx.DebugMode]sgx.Body{
		sgx.DebugRefused: {AttributesMask: sgx.Attributes{Flags: sgx.Debug}},
		sgx.DebugAllowed: {AttributesMask: sgx.Attributes{Flags: ^sgx.Debug}},
		sgx.DebugSigned:  {Attributes: sgx.Attributes{Flags: sgx.Debug}},
	} {
		if got := b.DebugMode(); got != want {
			t.Errorf("%+v: %s, want %s", b, got, want)
		}
	}
}

func TestParseSIGSTRUCTRefuses(t *testing.T) {
	signed := sign(t, testBody()).Bytes()
	for name, tt := range map[string]struct {
		change func(b []byte) []byte
		part   string
		offset int64
	}{
		"empty":     {func(b []byte) []byte { return nil }, "SIGSTRUCT", -1},
		"short":     {func(b []byte) []byte { return b[:1807] }, "SIGSTRUCT", -1},
		"header":    {func(b []byte) []byte { b[0] = 5; return b }, "SIGSTRUCT HEADER", 0},
		"type":      {func(b []byte) []byte { b[15] = 0x40; return b }, "SIGSTRUCT HEADER", 0},
		"header 2":  {func(b []byte) []byte { b[39] = 1; return b }, "SIGSTRUCT HEADER2", 24},
		"reserved":  {func(b []byte) []byte { b[127] = 1; return b }, "SIGSTRUCT reserved bytes", 44},
		"exponent":  {func(b []byte) []byte { b[513] = 1; return b }, "SIGSTRUCT EXPONENT", 512},
		"3071 bits": {func(b []byte) []byte { b[511] &= 0x7f; return b }, "SIGSTRUCT MODULUS", 128},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sgx.ParseSIGSTRUCT(tt.change(bytes.Clone(signed)))
			var format *sgx.FormatError
			if !errors.As(err, &format) || format.Part != tt.part || format.Offset != tt.offset {
				t.Errorf("error = %v, want one about %s at %d", err, tt.part, tt.offset)
			}
		})
	}
}

func TestHashesAsText(t *testing.T) {
	m := sgx.MRENCLAVE{1, 31: 0xff}
	text, err := json.Marshal(map[string]any{"m": m, "s": sgx.MRSIGNER(m)})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		M sgx.MRENCLAVE
		S sgx.MRSIGNER
	}
	if err := json.Unmarshal(text, &back); err != nil || back.M != m || back.S != sgx.MRSIGNER(m) {
		t.Errorf("%s reads as %v, %v", text, back, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("A", 64), strings.Repeat("0", 63) + "\n"} {
		var format *sgx.FormatError
		if err := m.UnmarshalText([]byte(bad)); !errors.As(err, &format) {
			t.Errorf("%q is taken: %v", bad, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	body := testBody()
	good := sign(t, body)
	body.Attributes.Flags |= sgx.Debug
	debug := sign(t, body)
	forged := debug.Bytes()
	forged[1026] ^= 1
	broken, err := sgx.ParseSIGSTRUCT(forged)
	if err != nil {
		t.Fatal(err)
	}
	strict := sgx.Policy{RequireDebugLocked: true, Signers: []sgx.MRSIGNER{{1}}, MinISVSVN: 10}
	for name, tt := range map[string]struct {
		policy sgx.Policy
		s      *sgx.SIGSTRUCT
		broken string
	}{
		"zero policy":    {sgx.Policy{}, good, ""},
		"known signer":   {sgx.Policy{Signers: []sgx.MRSIGNER{{1}, good.MRSIGNER()}, MinISVSVN: 9}, good, ""},
		"debug":          {sgx.Policy{}, debug, "debug"},
		"debug allowed":  {sgx.Policy{AllowDebug: true}, debug, ""},
		"forged":         {sgx.Policy{AllowDebug: true}, broken, "signature"},
		"all violations": {strict, broken, "signature,debug,debug mask,signer,ISVSVN"},
	} {
		t.Run(name, func(t *testing.T) {
			var rules []string
			var violated *sgx.PolicyError
			if err := tt.policy.Check(tt.s); errors.As(err, &violated) {
				for _, v := range violated.Violations {
					rules = append(rules, v.Rule)
				}
			}
			if got := strings.Join(rules, ","); got != tt.broken {
				t.Errorf("violated: %s, want %s", got, tt.broken)
			}
		})
	}
}

func TestFind(t *testing.T) {
	signed := sign(t, testBody()).Bytes()
	forged := bytes.Clone(signed)
	forged[1026] ^= 1
	template := make([]byte, 1808)
	copy(template, signed[:128])
	const window = 256 << 10
	var file []byte
	place := func(at int, b []byte) {
		file = append(file, make([]byte, max(0, at+len(b)-len(file)))...)
		copy(file[at:], b)
	}
	want := []int64{3, window - 41, window*2 - 20, window * 3}
	for _, at := range want {
		place(int(at), signed)
	}
	place(window*4-8, forged)
	place(window*5, template)
	place(window*6, signed[:40])
	found, err := sgx.Find(t.Context(), bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 6 {
		t.Fatalf("found %d, want 6: %+v", len(found), found)
	}
	for i, at := range want {
		if found[i].Offset != at || found[i].Err != nil || found[i].SIGSTRUCT.Body() != testBody() {
			t.Errorf("found %+v, want one at %d", found[i], at)
		}
	}
	var signature *sgx.SignatureError
	if s := found[4]; s.Offset != window*4-8 || !errors.As(s.Err, &signature) {
		t.Errorf("forged one: %+v", s)
	}
	var format *sgx.FormatError
	if s := found[5]; s.Offset != window*6 || s.SIGSTRUCT != nil || !errors.As(s.Err, &format) {
		t.Errorf("cut one: %+v", s)
	}
}

func TestFindLimits(t *testing.T) {
	many := bytes.Repeat(sign(t, testBody()).Bytes()[:512], sgx.MaxFound+2)
	var limit *sgx.LimitError
	if _, err := sgx.Find(t.Context(), bytes.NewReader(many), int64(len(many))); !errors.As(err, &limit) {
		t.Errorf("%d candidates: %v", sgx.MaxFound+2, err)
	}
	if _, err := sgx.Find(t.Context(), bytes.NewReader(many), 1<<40); !errors.As(err, &limit) && !errors.Is(err, io.EOF) {
		t.Errorf("file shorter than said: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sgx.Find(ctx, bytes.NewReader(many), int64(len(many))); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func FuzzSIGSTRUCT(f *testing.F) {
	f.Add(sign(f, testBody()).Bytes())
	f.Add(make([]byte, 1808))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := sgx.ParseSIGSTRUCT(raw)
		var format *sgx.FormatError
		if err != nil {
			if !errors.As(err, &format) {
				t.Errorf("%v is no FormatError", err)
			}
			return
		}
		if !bytes.Equal(s.Bytes(), raw) {
			t.Error("other bytes come back")
		}
		if s.Verify() == nil && s.MRSIGNER() == (sgx.MRSIGNER{}) {
			t.Error("signed by nobody")
		}
	})
}

func FuzzFind(f *testing.F) {
	signed := sign(f, testBody()).Bytes()
	f.Add(signed, uint16(0))
	f.Add(signed[:600], uint16(7))
	f.Add(append(bytes.Clone(signed[:40]), signed...), uint16(100))
	f.Fuzz(func(t *testing.T, file []byte, shift uint16) {
		file = append(make([]byte, shift), file...)
		found, err := sgx.Find(t.Context(), bytes.NewReader(file), int64(len(file)))
		if err != nil {
			var limit *sgx.LimitError
			if !errors.As(err, &limit) {
				t.Error(err)
			}
			return
		}
		for _, s := range found {
			header := bytes.Clone(file[s.Offset : s.Offset+16])
			header[15] &^= 0x80 // ReleaseType
			if !bytes.Equal(header, signed[:16]) || (s.SIGSTRUCT == nil && s.Err == nil) {
				t.Errorf("found %+v", s)
			}
		}
	})
}
