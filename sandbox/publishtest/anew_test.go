package publishtest

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sandbox/keyservice"
	"github.com/mrelease/mrelease/sandbox/world"
)

// signsAnew returns what opens a wallet of the world as another run would: its key is in a
// key service, whose signatures of the same are others each time.
func signsAnew(t *testing.T, account int) (open func() node.Wallet, key *keyservice.Key) {
	t.Helper()
	key = keyservice.NewKey(world.Key(account))
	aws := &keyservice.AWS{Region: "eu-west-3", AccessKey: "AKIASANDBOX000000000", Secret: "secret", Keys: map[string]*keyservice.Key{"release": key}}
	s := httptest.NewServer(aws)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{"AWS_REGION": aws.Region, "AWS_ACCESS_KEY_ID": aws.AccessKey, "AWS_SECRET_ACCESS_KEY": aws.Secret, "AWS_SESSION_TOKEN": ""} {
		t.Setenv(name, value)
	}
	return func() node.Wallet {
		w, err := kms.AWS(strings.TrimPrefix(s.URL, "http://"), "alias/release").Open(t.Context(), common.Address{})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}, key
}

// The order that is on the market is the release's, with the signature that it has there:
// a second run signs nothing, and its wallet gives that signature again.
func TestOfferSignedAnew(t *testing.T) {
	w := startWorld(t)
	open, key := signsAnew(t, 1)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := sell(t, w, c)
		order := s.order(1)
		first, err := orders.Offer(t.Context(), s.client, s.market, open(), order)
		if err != nil || !first.Published {
			t.Fatalf("%+v, %v", first, err)
		}
		made, later := key.Signed, open()
		second, err := orders.Offer(t.Context(), s.client, s.market, later, order)
		if err != nil || second.Published || !second.Order.Equal(first.Order) || key.Signed != made {
			t.Errorf("%s: %+v, %v, after %d signatures, want %+v after %d", c.Name, second, err, key.Signed, first, made)
		}
		again, err := orders.Sign(t.Context(), s.client.Domain(), later, order)
		if err != nil || !again.Equal(first.Order) || key.Signed != made {
			t.Errorf("%s: the wallet signed another order: %+v, %v", c.Name, again, err)
		}
		// Who knows another signature of the owner's finds it; a stranger's is not found.
		other, err := orders.Sign(t.Context(), s.client.Domain(), open(), order)
		if err != nil || other.Equal(first.Order) {
			t.Fatalf("signed anew: %+v, %v", other, err)
		}
		if found, err := orders.FindOffer(t.Context(), s.client, s.market, other, s.wallet.Address); err != nil || !found.Order.Equal(first.Order) {
			t.Errorf("%s: %+v, %v", c.Name, found, err)
		}
		var another *node.OrderError
		if _, err := orders.FindOffer(t.Context(), s.client, s.market, other, common.Address{19: 1}); !errors.As(err, &another) || !strings.Contains(another.Problem, "another one") {
			t.Errorf("%s: signed by somebody else: %v", c.Name, err)
		}
	}
}

// Parallel runs of one release publish one order, whatever each of them signs.
func TestOfferSignedAnewInParallel(t *testing.T) {
	w := startWorld(t)
	open, _ := signsAnew(t, 1)
	s := sell(t, w, w.V6)
	var wallets [4]node.Wallet
	for i := range wallets {
		wallets[i] = open()
	}
	var made [4]orders.Offering
	var errs [4]error
	together(len(made), func(i int) {
		made[i], errs[i] = orders.Offer(t.Context(), s.client, s.market, wallets[i], s.order(1))
	})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	published := 0
	for _, m := range made {
		if m.Published {
			published++
		}
		if !m.Order.Equal(made[0].Order) {
			t.Errorf("offered %+v and %+v", made[0], m)
		}
	}
	if published != 1 {
		t.Errorf("published %d times, want once", published)
	}
}

// The record that lies beside the image is the release's: another run's wallet gives the
// signature that it has. A record of other content, or of somebody else's, is none.
func TestRecordSignedAnew(t *testing.T) {
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "anew", "1.0.0")
	open, key := signsAnew(t, 1)
	later := open()
	rec, first := p.Record, p.Signature
	rec.Signature = nil
	if err := rec.Recall(t.Context(), registry.Client{}, later); err != nil {
		t.Fatal(err)
	}
	if err := rec.Sign(t.Context(), later); err != nil || string(rec.Signature) != string(first) || key.Signed != 0 {
		t.Errorf("signed anew: %v, %x, want %x", err, rec.Signature, first)
	}
	if made, err := rec.Publish(t.Context(), registry.Client{}); err != nil || made {
		t.Errorf("published a second record: %t, %v", made, err)
	}
	rec.Source.Epoch++
	if err := rec.Recall(t.Context(), registry.Client{}, later); err != nil {
		t.Fatal(err)
	}
	if err := rec.Sign(t.Context(), later); err != nil || string(rec.Signature) == string(first) || key.Signed != 1 {
		t.Errorf("another record: %v, %d signatures", err, key.Signed)
	}
	strange, others := signsAnew(t, 2)
	rec = p.Record
	stranger := strange()
	if err := rec.Recall(t.Context(), registry.Client{}, stranger); err != nil {
		t.Fatal(err)
	}
	if err := rec.Sign(t.Context(), stranger); err != nil || others.Signed != 1 {
		t.Errorf("a stranger took the owner's signature: %v, %d signatures", err, others.Signed)
	}
}
