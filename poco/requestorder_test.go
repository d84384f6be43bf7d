package poco_test

import (
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/mrelease/mrelease/poco"
)

// What the JavaScript SDKs made: the same hash, the same signature, the same values.
func TestRequestOrdersOfTheSDK(t *testing.T) {
	data, err := os.ReadFile("testdata/sdk-requestorders.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		SDK       string
		ChainID   uint64
		Hub       common.Address
		SignerKey string
		Order     json.RawMessage
		Hash      common.Hash
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded) != 4 {
		t.Fatalf("%d recorded orders, want 4", len(recorded))
	}
	for _, r := range recorded {
		var order poco.SignedRequestOrder
		if err := json.Unmarshal(r.Order, &order); err != nil {
			t.Fatal(err)
		}
		d := poco.Domain{ChainID: r.ChainID, Hub: r.Hub}
		hash := order.Hash(d)
		assertSameHash(t, order.TypedData(d), hash)
		if hash != r.Hash {
			t.Errorf("%s: hash %s, want %s", r.SDK, hash, r.Hash)
		}
		if got, want := sign(t, r.SignerKey, hash), hexutil.Encode(order.Sign); got != want {
			t.Errorf("%s: signature %s, want %s", r.SDK, got, want)
		}
		written, err := json.Marshal(order)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if json.Unmarshal(written, &got) != nil || json.Unmarshal(r.Order, &want) != nil || !maps.Equal(got, want) {
			t.Errorf("%s: written as\n%v, want\n%v", r.SDK, got, want)
		}
		params, err := poco.ParseParams(order.Params)
		if err != nil || params.Args == "" || params.Check(order.Tag) != nil {
			t.Errorf("%s: params %q read as %+v, %v", r.SDK, order.Params, params, err)
		}
	}
}

func largeRequest() poco.RequestOrder {
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	return poco.RequestOrder{
		App: common.HexToAddress("0x01"), AppMaxPrice: most, Dataset: common.HexToAddress("0x02"), DatasetMaxPrice: big.NewInt(2),
		Workerpool: common.HexToAddress("0x03"), WorkerpoolMaxPrice: big.NewInt(3), Requester: common.HexToAddress("0x04"), Volume: big.NewInt(4),
		Tag: poco.Tag{0: 0x80, 31: 1}, Category: big.NewInt(5), Trust: most, Beneficiary: common.HexToAddress("0x06"), Callback: common.HexToAddress("0x07"),
		Params: "python3 /app/app.py é", Salt: common.HexToHash("0x08"),
	}
}

func TestMostPaid(t *testing.T) {
	o := largeRequest()
	o.AppMaxPrice = big.NewInt(1)
	if got := o.MostPaid(); got.Int64() != (1+2+3)*4 || o.AppMaxPrice.Int64() != 1 {
		t.Errorf("got %s", got)
	}
}

func TestParams(t *testing.T) {
	for text, want := range map[string]string{
		"python3 /app/app.py": `{"iexec_args":"python3 /app/app.py"}`,
		"":                    `{}`,
		`{}`:                  `{}`,
		`{"iexec_result_encryption":true,"iexec_args":"a <b> & c"}`:                `{"iexec_args":"a <b> & c","iexec_result_encryption":true}`,
		` {"iexec_secrets":{"1":"n"},"iexec_input_files":["https://a.example/b"]}`: `{"iexec_input_files":["https://a.example/b"],"iexec_secrets":{"1":"n"}}`,
	} {
		p, err := poco.ParseParams(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Text(); err != nil || got != want {
			t.Errorf("%s: written as %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"{", `{"iexec_arg":"a"}`, `{"IEXEC_ARGS":"a"}`, `{"iexec_args":1}`, `{} {}`, `{"iexec_args":"a"}b`} {
		if p, err := poco.ParseParams(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s was read as %+v", text, p)
		}
	}
	for name, p := range map[string]poco.Params{
		"a file": {InputFiles: []string{"/etc/passwd"}}, "another scheme": {InputFiles: []string{"ftp://a/b"}}, "number 0": {Secrets: map[string]string{"0": "n"}},
		"no number": {Secrets: map[string]string{"a": "n"}}, "no name": {Secrets: map[string]string{"1": ""}}, "a storage": {Storage: "s3"},
	} {
		if p.Check(poco.TEE()) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, p := range map[string]poco.Params{"secrets": {Secrets: map[string]string{"1": "n"}}, "encryption": {Encrypt: true}, "dropbox": {Storage: "dropbox"}} {
		if p.Check(poco.TEE()) != nil || p.Check(poco.Tag{}) == nil {
			t.Errorf("%s: %v, %v", name, p.Check(poco.TEE()), p.Check(poco.Tag{}))
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("python3 /app/app.py")
	f.Add(`{"iexec_args":"a","iexec_secrets":{"1":"n"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := poco.ParseParams(text)
		if err != nil {
			return
		}
		written, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := poco.ParseParams(written)
		if err != nil {
			t.Fatalf("%q is written as %q, which reads with %v", text, written, err)
		}
		if twice, err := again.Text(); err != nil || twice != written {
			t.Errorf("%q is written as %q, and then as %q (%v)", text, written, twice, err)
		}
	})
}

// A text as params is doubted where it is no command, and nowhere else.
func TestDoubtParams(t *testing.T) {
	scone, tdx := poco.Tag{31: 3}, poco.Tag{31: 9}
	const legacy, today = "aa|bb|cc", `{"framework":"SCONE","version":"v5.9","entrypoint":"/app","heapSize":1,"fingerprint":"cc"}`
	for _, c := range []struct {
		text  string
		tag   poco.Tag
		value string // of the app's enclave
		want  string // a part; "": no doubt
	}{
		{"python3 /app/app.py", poco.TEE(), "", ""},
		{"python3 /app/app.py", poco.Tag{}, "", ""},
		{"python3 /app/app.py", poco.TEE(), legacy, ""},
		{"python3 /app/app.py", poco.TEE(), `{"framework":"SCONE"}`, ""},
		{"python3 /app/app.py", poco.TEE(), today, `a run of this app, whose enclave value is one of scone, takes it as arguments to the app's own command, not as the command, and encrypts no result; as an object, which says so: {"iexec_args":"python3 /app/app.py"}`},
		{`{"iexec_args":"a"}`, poco.TEE(), today, ""},
		{"python3 /app/app.py", scone, legacy, `with scone in its tag a run takes it as arguments`},
		{"a <b>", tdx, "", `: {"iexec_args":"a <b>"}`},
		{"", scone, "", ""},
		{`{"iexec_args":"a"}`, scone, "", ""},
		{`{"iexec_argz":"a"}`, scone, "", ""},
	} {
		if got := poco.DoubtParams(c.text, c.tag, []byte(c.value)); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q with %s: %q, want %q", c.text, c.tag, got, c.want)
		}
	}
}
