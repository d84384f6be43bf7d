package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/world"
	"github.com/mrelease/mrelease/sbom"
	"github.com/mrelease/mrelease/vex"
)

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// holdings are what there is of one owner and repository.
type holdings struct {
	images                   int // tags of releases
	signatures, attestations int // that refer to these images
	apps, orders             int // of both chains; orders: open ones
	transactions             int // that the owner sent
}

func (h holdings) String() string {
	return fmt.Sprintf("images=%d signatures=%d attestations=%d apps=%d orders=%d transactions=%d", h.images, h.signatures, h.attestations, h.apps, h.orders, h.transactions)
}

// holds compares what the script's owner and repository have:
//
//	holds images=1 signatures=1 attestations=1 apps=1 orders=1 transactions=1
//	holds nothing
func holds(ts *testscript.TestScript, s *script, args []string) {
	got, err := look(context.Background(), s.world, s.repository, crypto.PubkeyToAddress(s.key.PublicKey))
	ts.Check(err)
	want := strings.Join(args, " ")
	if want == "nothing" {
		want = holdings{}.String()
	}
	if got.String() != want {
		ts.Fatalf("the world holds %s; want %s", got, want)
	}
}

func look(ctx context.Context, w *world.World, repository string, owner common.Address) (holdings, error) {
	var h holdings
	if err := h.lookAtRegistry(ctx, repository); err != nil {
		return h, err
	}
	for _, c := range []world.Chain{w.V6, w.V5} {
		apps, err := balance(ctx, c, owner)
		if err != nil {
			return h, err
		}
		nonce, err := c.Client.PendingNonceAt(ctx, owner)
		if err != nil {
			return h, err
		}
		orders, err := openOrders(ctx, w, c, owner)
		if err != nil {
			return h, err
		}
		h.apps, h.orders, h.transactions = h.apps+apps, h.orders+orders, h.transactions+int(nonce)
	}
	return h, nil
}

// lookAtRegistry leaves out the tags under which clients keep lists of
// referrers.
func (h *holdings) lookAtRegistry(ctx context.Context, repository string) error {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return err
	}
	tags, err := remote.List(repo, remote.WithContext(ctx))
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if strings.HasPrefix(tag, "sha256-") {
			continue
		}
		h.images++
		image, err := remote.Head(repo.Tag(tag), remote.WithContext(ctx))
		if err != nil {
			return err
		}
		statements, err := readStatements(ctx, repo.Digest(image.Digest.String()))
		if err != nil {
			return err
		}
		if err := h.count(statements); err != nil {
			return err
		}
	}
	return nil
}

func (h *holdings) count(statements []statement) error {
	signed, measured := 0, 0
	for _, s := range statements {
		switch s.PredicateType {
		case signatureType:
			h.signatures++
			signed++
		case provenanceType:
			h.attestations++
		case record.RevocationType, sbom.Type, vex.Type:
		case record.MeasurementType:
			measured++
		default:
			return fmt.Errorf("an image has a statement of type %q", s.PredicateType)
		}
	}
	if measured > signed {
		return fmt.Errorf("of an image %d measurements are attested by %d keys", measured, signed)
	}
	return nil
}

// balance asks the app registry, which is an ERC-721 token, how many apps an
// owner has.
func balance(ctx context.Context, c world.Chain, owner common.Address) (int, error) {
	data := append(crypto.Keccak256([]byte("balanceOf(address)"))[:4], common.LeftPadBytes(owner[:], 32)...)
	out, err := c.Client.CallContract(ctx, ethereum.CallMsg{To: &c.AppRegistry, Data: data}, nil)
	return int(new(big.Int).SetBytes(out).Int64()), err
}

func openOrders(ctx context.Context, w *world.World, c world.Chain, owner common.Address) (int, error) {
	url := fmt.Sprintf("%s/apporders?chainId=%d&appOwner=%s&dataset=any&workerpool=any&requester=any", w.Market, c.ID, owner)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct{ Count int }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("listing orders: %s, %w", resp.Status, err)
	}
	return answer.Count, nil
}

// retag lets a tag name another image, as whoever may push can:
//
//	retag TAG OTHER-TAG
func retag(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: retag TAG OTHER-TAG")
	}
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	other, err := remote.Get(repo.Tag(args[1]))
	ts.Check(err)
	ts.Check(remote.Tag(repo.Tag(args[0]), other))
}

// forget takes an image away, and all tags of it:
//
//	forget TAG
func forget(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: forget TAG")
	}
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	there, err := remote.Head(repo.Tag(args[0]))
	ts.Check(err)
	ts.Check(remote.Delete(repo.Tag(args[0])))
	ts.Check(remote.Delete(repo.Digest(there.Digest.String())))
}

// layer puts the digest of an image's layer, counted from 0, into a variable:
//
//	layer VARIABLE TAG NUMBER
func layer(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: layer VARIABLE TAG NUMBER")
	}
	number, err := strconv.Atoi(args[2])
	ts.Check(err)
	tag, err := name.NewTag(s.repository + ":" + args[1])
	ts.Check(err)
	image, err := remote.Image(tag)
	ts.Check(err)
	manifest, err := image.Manifest()
	ts.Check(err)
	ts.Setenv(args[0], manifest.Layers[number].Digest.String())
}

// editKey puts another public key into a record:
//
//	edit-key RECORD PUBLIC-KEY
func editKey(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: edit-key RECORD PUBLIC-KEY")
	}
	var r record.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	r.Image.PublicKey = ts.ReadFile(args[1])
	ts.Check(r.WriteFile(ts.MkAbs(args[0])))
}
