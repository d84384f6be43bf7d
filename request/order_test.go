package request_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request"
)

func TestSignOrder(t *testing.T) {
	w, d := recordedSigner(t), poco.Chains()[0].Domain()
	zero := new(big.Int)
	o := poco.RequestOrder{
		AppMaxPrice: zero, DatasetMaxPrice: zero, WorkerpoolMaxPrice: zero, Requester: w.Address, Beneficiary: w.Address,
		Volume: big.NewInt(1), Tag: poco.TEE(), Category: zero, Trust: zero, Params: "python3 /app/app.py",
	}
	first, err := request.SignOrder(t.Context(), w, d, o)
	must(t, err)
	second, err := request.SignOrder(t.Context(), w, d, o)
	must(t, err)
	if first.Salt == second.Salt || first.Salt == (common.Hash{}) || first.Equal(second) {
		t.Error("two requests are one")
	}
	third, err := request.SignOrder(t.Context(), w, d, first.RequestOrder)
	if err != nil || !third.Equal(first) {
		t.Errorf("the same request is another one (%v)", err)
	}
	raw := append([]byte(nil), first.Sign...)
	raw[64] -= 27
	hash := first.Hash(d)
	public, err := crypto.SigToPub(hash[:], raw)
	must(t, err)
	if crypto.PubkeyToAddress(*public) != w.Address {
		t.Error("it is signed by another wallet")
	}

	for name, change := range map[string]func(*poco.RequestOrder){
		"another requester":   func(o *poco.RequestOrder) { o.Requester = common.Address{1} },
		"an unknown key":      func(o *poco.RequestOrder) { o.Params = `{"iexec_argz":"a"}` },
		"secrets without TEE": func(o *poco.RequestOrder) { o.Params, o.Tag = `{"iexec_secrets":{"1":"n"}}`, poco.Tag{} },
	} {
		other := o
		change(&other)
		var refused *request.OrderError
		if _, err := request.SignOrder(t.Context(), w, d, other); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
