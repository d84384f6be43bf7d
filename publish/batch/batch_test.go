package batch

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// A file that the Transaction Builder wrote, with its checksum.
func TestChecksum(t *testing.T) {
	data, err := os.ReadFile("testdata/builder.json")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989"
	if sum, err := checksum(data); err != nil || sum.Hex() != want {
		t.Errorf("got %s, %v, want %s", sum, err, want)
	}
	if sum, err := checksum(bytes.Replace(data, []byte(`"value": "0"`), []byte(`"value": "1"`), 1)); err != nil || sum.Hex() == want {
		t.Errorf("of another value: %s, %v", sum, err)
	}
	if _, err := checksum([]byte("{")); err == nil {
		t.Error("half a file has a checksum")
	}
}

// What is written is pinned: a wallet's owners compare it.
func TestEncode(t *testing.T) {
	order := poco.AppOrder{App: common.Address{1}, AppPrice: common.Big2, Volume: common.Big3, Tag: poco.TEE(), Salt: common.Hash{5}}
	b := Batch{Chain: poco.Chains()[0], Caller: common.Address{6}, Time: time.Unix(7, 0), Name: "hello <1.0.0>"}
	for _, call := range []func(poco.AppOrder, string) (Call, error){Presign, Close} {
		c, err := call(order, "an & order")
		if err != nil {
			t.Fatal(err)
		}
		b.Calls = append(b.Calls, c)
	}
	got, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("testdata/batch.json", got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/batch.json")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %s, %v", got, err)
	}
}
