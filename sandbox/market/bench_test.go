package market_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// bench is a market with real contracts behind it, and an app to sell.
type bench struct {
	*testing.T
	w        *world.World
	chain    world.Chain
	owner    node.Wallet // of the app
	stranger node.Wallet
	app      common.Address
}

func start(t *testing.T) *bench {
	t.Helper()
	return startWith(t, world.Options{Contracts: "../node_modules"})
}

func startWith(t *testing.T, o world.Options) *bench {
	t.Helper()
	w, err := world.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{T: t, w: w, chain: w.V6, owner: wallet(t, 1), stranger: wallet(t, 2)}
	b.app = b.register("hello")
	return b
}

func wallet(t *testing.T, account int) node.Wallet {
	t.Helper()
	w, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(account))))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (b *bench) profile() poco.Chain {
	return poco.Chain{Name: b.chain.Name, ID: b.chain.ID, RPC: b.chain.RPC, Hub: b.chain.Hub, Market: b.w.Market, Fees: b.chain.Fees}
}

func (b *bench) connect() *node.Client {
	b.Helper()
	c, err := node.Connect(b.Context(), b.profile())
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// register makes an app of the owner.
func (b *bench) register(name string) common.Address {
	b.Helper()
	r, err := apps.Register(b.Context(), b.connect(), b.owner, poco.App{Owner: b.owner.Address, Name: name, Type: poco.TypeDocker, Multiaddr: []byte("example.org/" + name + ":1")}, measure.Enclave{})
	if err != nil {
		b.Fatal(err)
	}
	return r.Address
}

// The four kinds of orders, as IexecLibOrders_v5 has them.
const (
	appOrder        = "AppOrder(address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	datasetOrder    = "DatasetOrder(address dataset,uint256 datasetprice,uint256 volume,bytes32 tag,address apprestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt)"
	workerpoolOrder = "WorkerpoolOrder(address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt)"
	requestOrder    = "RequestOrder(address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt)"
)

// order is an order of one of the kinds; fields that are not set are zero.
type order struct {
	typ    string
	fields []apitypes.Type
	values map[string]any
}

func newOrder(encodeType string, values map[string]any) order {
	typ, list, _ := strings.Cut(strings.TrimSuffix(encodeType, ")"), "(")
	o := order{typ: typ, values: map[string]any{"volume": "1", "salt": randomSalt()}}
	zero := map[string]string{"address": common.Address{}.Hex(), "uint256": "0", "bytes32": common.Hash{}.Hex(), "string": ""}
	for f := range strings.SplitSeq(list, ",") {
		typ, name, _ := strings.Cut(f, " ")
		o.fields = append(o.fields, apitypes.Type{Name: name, Type: typ})
		if o.values[name] == nil {
			o.values[name] = zero[typ]
		}
	}
	maps.Copy(o.values, values)
	return o
}

func randomSalt() string {
	var salt [32]byte
	rand.Read(salt[:])
	return hexutil.Encode(salt[:])
}

// order returns an order of the bench's app.
func (b *bench) order(values map[string]any) order {
	return newOrder(appOrder, values).with("app", b.app.Hex(), values)
}

func (o order) with(field string, value any, unless map[string]any) order {
	if _, ok := unless[field]; !ok {
		o.values[field] = value
	}
	return o
}

func (b *bench) hash(o order) common.Hash {
	b.Helper()
	hash, _, err := apitypes.TypedDataAndHash(b.typed(o))
	if err != nil {
		b.Fatal(err)
	}
	return common.BytesToHash(hash)
}

func (b *bench) typed(o order) apitypes.TypedData {
	message := maps.Clone(o.values)
	delete(message, "sign")
	return apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"}},
			o.typ:          o.fields,
		},
		PrimaryType: o.typ, Message: message,
		Domain: apitypes.TypedDataDomain{Name: "iExecODB", Version: "5.0.0", ChainId: math.NewHexOrDecimal256(int64(b.chain.ID)), VerifyingContract: b.chain.Hub.Hex()},
	}
}

// signed adds a wallet's signature.
func (b *bench) signed(o order, w node.Wallet) order {
	b.Helper()
	sig, err := w.SignTypedData(b.Context(), b.typed(o))
	if err != nil {
		b.Fatal(err)
	}
	o.values["sign"] = hexutil.Encode(sig)
	return o
}

// body is what a publication of the order sends.
func (o order) body() string {
	text, err := json.Marshal(map[string]any{"order": o.values})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// answer is what the market said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// request asks the market; the query may hold all but the chain's id.
func (b *bench) request(method, path, body, authorization string) answer {
	b.Helper()
	u, err := url.Parse(b.w.Market + path)
	if err != nil {
		b.Fatal(err)
	}
	if q := u.Query(); !q.Has("chainId") {
		q.Set("chainId", fmt.Sprint(b.chain.ID))
		u.RawQuery = q.Encode()
	}
	r, err := http.NewRequestWithContext(b.Context(), method, u.String(), strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// challenge returns the text that a wallet has to sign.
func (b *bench) challenge(address common.Address) string {
	b.Helper()
	a := b.request(http.MethodGet, "/challenge?address="+address.Hex(), "", "")
	_, text, ok := strings.Cut(a.body, `"challenge":"Sign`)
	if !ok {
		b.Fatalf("no challenge in %s", a)
	}
	return "Sign" + strings.TrimSuffix(text, `"}}}`)
}

// authorization logs a wallet in.
func (b *bench) authorization(w node.Wallet) string {
	b.Helper()
	return b.authorizationBy(w.Address, w)
}

// authorizationBy answers the challenge of an address with a wallet's signature.
func (b *bench) authorizationBy(address common.Address, w node.Wallet) string {
	b.Helper()
	text := b.challenge(address)
	sig, err := w.SignTypedData(b.Context(), poco.Challenge(b.chain.ID, text))
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprintf("%s_%s_%s", poco.ChallengeHash(b.chain.ID, text), hexutil.Encode(sig), address.Hex())
}

// publish publishes an order and wants it to be taken.
func (b *bench) publish(o order, w node.Wallet) string {
	b.Helper()
	path := "/" + strings.ToLower(o.typ) + "s"
	if a := b.request(http.MethodPost, path, o.body(), b.authorization(w)); a.status != http.StatusOK {
		b.Fatalf("POST %s: %s", path, a)
	}
	return b.hash(o).Hex()
}

// transact sends a transaction and waits until it has succeeded.
func (b *bench) transact(w int, to common.Address, data []byte) {
	b.Helper()
	ctx := b.Context()
	key := world.Key(w)
	nonce, err := b.chain.Client.PendingNonceAt(ctx, crypto.PubkeyToAddress(key.PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(new(big.Int).SetUint64(b.chain.ID)), &types.LegacyTx{
		Nonce: nonce, To: &to, Gas: 3_000_000, GasPrice: big.NewInt(10_000_000_000), Data: data,
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := b.chain.Client.SendTransaction(ctx, tx); err != nil {
		b.Fatal(err)
	}
	if receipt := b.receipt(tx.Hash()); receipt.Status != types.ReceiptStatusSuccessful {
		b.Fatalf("transaction to %s reverted", to)
	}
}

func (b *bench) receipt(tx common.Hash) *types.Receipt {
	b.Helper()
	receipt, err := protocol.Mined(b.Context(), b.chain.Client, tx)
	if err != nil {
		b.Fatal(err)
	}
	return receipt
}

// isoTime writes a block's time, in seconds since 1970, as JavaScript does.
func isoTime(seconds uint64) string {
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02T15:04:05.000Z")
}
