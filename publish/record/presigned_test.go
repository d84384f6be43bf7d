package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
)

// presigned is a record that is named by its order.
func presigned(t *testing.T) Record {
	t.Helper()
	digest := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1d", 32)}
	r := Record{
		Schema: Schema, Version: "1.0.0", Source: Source{Commit: strings.Repeat("c0", 20), Epoch: 1, Inputs: digest},
		Image:   Image{Reference: "registry.example/a:1.0.0", Digest: digest, Config: digest, PublicKey: "a key"},
		Enclave: Enclave{Format: measure.None},
		App:     App{Chain: "bellecour", ChainID: 134, Hub: Address{1}, Registry: Address{2}, Address: Address{3}, Owner: Address{4}, Name: "a", Checksum: common.HexToHash("0x" + digest.Hex)},
	}
	r.Order.Signed.AppOrder = orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()}.Unsalted(common.Address{3})
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	return r
}

func parsed(t *testing.T, r Record) error {
	t.Helper()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	there, err := Parse(data)
	if again, encoding := there.Encode(); err == nil && (encoding != nil || !bytes.Equal(again, data)) {
		t.Errorf("read as %s, %v", again, encoding)
	}
	return err
}

// A record that its order names is taken as it is, and with no other content; what is signed
// in part, or for another app, is none.
func TestPresigned(t *testing.T) {
	r := presigned(t)
	if err := parsed(t, r); err != nil || !r.IsPresigned() {
		t.Fatal(err)
	}
	again := r
	again.Order.Hash, again.Signature = common.Hash{9}, []byte{9}
	if err := again.Commit(); err != nil || again.Order.Hash != r.Order.Hash || !again.IsPresigned() {
		t.Errorf("committed again: %+v, %v", again.Order, err)
	}
	for name, c := range map[string]struct {
		change func(*Record)
		want   string
	}{
		"another version": {func(r *Record) { r.Version = "1.0.1" }, "its order's salt names another content"},
		"another commit":  {func(r *Record) { r.Source.Commit = strings.Repeat("c1", 20) }, "its order's salt names another content"},
		"another owner":   {func(r *Record) { r.App.Owner = Address{5} }, "its order's salt names another content"},
		"another chain":   {func(r *Record) { r.App.ChainID++ }, "its order's salt names another content"},
		"another app":     {func(r *Record) { r.App.Address = Address{5} }, "its order's salt names another content"},
		"another price":   {func(r *Record) { r.Order.Signed.AppPrice = common.Big1 }, "its order's salt names another content"},
		"another salt":    {func(r *Record) { r.Order.Signed.Salt[0]++ }, "its order's salt names another content"},
		"the salt of mrelease": {func(r *Record) {
			r.Order.Signed.AppOrder = orders.New(r.Domain(), common.Address{3}, orders.TermsOf(r.Order.Signed.AppOrder))
			r.Order.Hash = r.Order.Signed.Hash(r.Domain())
		}, "its order's salt names another content"},
		"another hash": {func(r *Record) { r.Order.Hash[0]++ }, "another order than its order hash"},
		"an order of another": {func(r *Record) {
			r.Order.Signed.App = common.Address{6}
			if err := r.Commit(); err != nil {
				t.Error(err)
			}
		}, "an order of another app"},
		"a signature alone": {func(r *Record) { r.Signature = make(hexutil.Bytes, 65) }, "has no valid signature"},
		"a signed order":    {func(r *Record) { r.Order.Signed.Sign = make([]byte, 65) }, "has no valid signature"},
	} {
		changed := r
		c.change(&changed)
		var wrong *Error
		if err := parsed(t, changed); !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The salt is as docs/verify.md has it, so that another program finds the same; also that of
// an order that was opened again, which names the same record.
func TestPresignedSalt(t *testing.T) {
	r := presigned(t)
	for generation, want := range map[uint64]string{0: "0x53879baa86e55bdabc68ce988cc8b451885939f2b3cd840bd7f92ef38a292b3c", 1: "0x287615abb9069e32d9541ba9cb92ee0de1ede37f7b6ea40a8c92c765b4d7dcf0", 63: "0x47381561a523c580675cb277a247403282a0125567ca42e66ae5753c1e7904e7"} {
		if err := r.commit(generation); err != nil || parsed(t, r) != nil || r.IsReopened() != (generation > 0) {
			t.Errorf("generation %d: %v, %v", generation, err, parsed(t, r))
		}
		if got := r.Order.Signed.Salt.Hex(); got != want {
			t.Errorf("generation %d: got %s, want %s", generation, got, want)
		}
	}
	changed := r
	changed.Version = "1.0.1"
	var wrong *Error
	if err := parsed(t, changed); !errors.As(err, &wrong) {
		t.Errorf("another content: %v", err)
	}
	if err := r.commit(orders.Generations); err != nil {
		t.Fatal(err)
	}
	if err := parsed(t, r); !errors.As(err, &wrong) {
		t.Errorf("a generation beyond the last: %v", err)
	}
}
