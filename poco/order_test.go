package poco_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/poco"
)

// sign is what a wallet does with a digest.
func sign(t *testing.T, key string, digest common.Hash) string {
	t.Helper()
	k, err := crypto.HexToECDSA(strings.TrimPrefix(key, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := crypto.Sign(digest[:], k)
	if err != nil {
		t.Fatal(err)
	}
	sig[64] += 27
	return hexutil.Encode(sig)
}

// The order of the known answers, which were made with ethers 6.
func knownOrder() poco.AppOrder {
	return poco.AppOrder{
		App:      common.HexToAddress("0x1111111111111111111111111111111111111111"),
		AppPrice: big.NewInt(0),
		Volume:   big.NewInt(1000000),
		Tag:      poco.Tag{31: 3},
		Salt:     common.HexToHash(strings.Repeat("22", 32)),
	}
}

func TestOrderKnownAnswers(t *testing.T) {
	key := strings.Repeat("11", 32)
	for _, tt := range []struct {
		chain                  string
		separator, hash, wants string
	}{
		{
			"bellecour",
			"0xf2cbd98a556869939d25b73c3fa68ba45f19932f8c9a06f744c98290ed9ef860",
			"0x44f224ceaea0bb73c8fa480fb4163f50f55922bbb92f6aa9a590cfa0b5099835",
			"0xf01323af7fbe3585da51f1e5daeb4d24ea9b54d92b46a845d770d129324db71b1a11afa57227eb684e1335ff1e7077c15cf0786c85b347326a6cb1eab08063e91b",
		},
		{
			"arbitrum-one",
			"0x3b211ab198ac0c745a332d34416d88c417c2f06a87bd9f0d2fdd37b242c75402",
			"0xf71f93ee476155d56764c9fb2b2c7de80fd1880054f46336bdaa109e71583e1b",
			"0x15d78b49d37737bca8d8116887bbbaac58c297d5349bb3c724bda753f7dc78926ff6b725f1e0aeb34ab25aea4818cbc70e796762ed7b3dfc191f4bc1800519be1b",
		},
	} {
		t.Run(tt.chain, func(t *testing.T) {
			d := builtin(t, tt.chain).Domain()
			if got := d.Separator().Hex(); got != tt.separator {
				t.Errorf("separator = %s, want %s", got, tt.separator)
			}
			hash := knownOrder().Hash(d)
			if hash.Hex() != tt.hash {
				t.Errorf("hash = %s, want %s", hash, tt.hash)
			}
			if got := sign(t, key, hash); got != tt.wants {
				t.Errorf("signature = %s, want %s", got, tt.wants)
			}
			assertSameHash(t, knownOrder().TypedData(d), hash)
		})
	}
}

// assertSameHash has somebody else's code hash what a wallet is shown, as it is after a way
// as JSON: the orders' own hashes do not come from it.
func assertSameHash(t *testing.T, data apitypes.TypedData, want common.Hash) {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	var shown apitypes.TypedData
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	got, _, err := apitypes.TypedDataAndHash(shown)
	if err != nil || common.BytesToHash(got) != want {
		t.Errorf("%s hashes to %x, %v, want %s", text, got, err, want)
	}
}

func builtin(t *testing.T, name string) poco.Chain {
	t.Helper()
	for _, c := range poco.Chains() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no built-in chain %s", name)
	return poco.Chain{}
}

func TestChallengeKnownAnswer(t *testing.T) {
	hash := poco.ChallengeHash(134, "Sign this message to log into iExec Gateway: abc")
	if want := "0x328b67fbbf6428d99db538981bfc68d07f462ad9556c0d4eccf14cdbf7497b34"; hash.Hex() != want {
		t.Errorf("hash = %s, want %s", hash, want)
	}
	assertSameHash(t, poco.Challenge(134, "Sign this message to log into iExec Gateway: abc"), hash)
	want := "0x5f29927aea5c5606efb719e294964dedbfe74418c5debcd0ef06f44756406d9d3e9449ec4d43bdd0e2e8a7d652588dd8e11e3d77882822d115ba988ca71cbfbf1b"
	if got := sign(t, strings.Repeat("11", 32), hash); got != want {
		t.Errorf("signature = %s, want %s", got, want)
	}
}

// What the JavaScript SDK signed, signed again: the same bytes.
func TestOrdersOfTheSDK(t *testing.T) {
	data, err := os.ReadFile("testdata/sdk-apporders.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		SDK       string
		ChainID   uint64
		Hub       common.Address
		SignerKey string
		Order     json.RawMessage
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded) != 2 {
		t.Fatalf("%d recorded orders, want 2", len(recorded))
	}
	for _, r := range recorded {
		t.Run(r.SDK, func(t *testing.T) {
			var order poco.SignedAppOrder
			if err := json.Unmarshal(r.Order, &order); err != nil {
				t.Fatal(err)
			}
			key, _, _ := strings.Cut(r.SignerKey, " ")
			d := poco.Domain{ChainID: r.ChainID, Hub: r.Hub}
			hash := order.Hash(d)
			assertSameHash(t, order.TypedData(d), hash)
			if got, want := sign(t, key, hash), hexutil.Encode(order.Sign); got != want {
				t.Errorf("signature = %s, want %s", got, want)
			}
			assertSameJSON(t, order, r.Order)
		})
	}
}

// assertSameJSON compares the bytes, so that key order, checksums of addresses
// and quoted amounts count.
func assertSameJSON(t *testing.T, order poco.SignedAppOrder, want json.RawMessage) {
	t.Helper()
	got, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(compact) {
		t.Errorf("order in JSON\n got %s\nwant %s", got, compact)
	}
}

func TestABITextsHaveTheSelectorsOfTheContracts(t *testing.T) {
	for name, want := range map[string]string{
		"registry.createApp": "3f7868ff", "registry.predictApp": "e92118ed", "registry.isRegistered": "c3c5a547",
		"app.owner": "8da5cb5b", "app.registry": "7b103999", "app.m_appName": "358982a3", "app.m_appType": "f8c2ceb3",
		"app.m_appMultiaddr": "39e75d45", "app.m_appChecksum": "84aaf12e", "app.m_appMREnclave": "e30d26a8",
		"hub.domain": "c2fb26a6", "hub.appregistry": "45b637a9", "hub.viewConsumed": "4b2bec8c", "hub.verifySignature": "01751998",
		"hub.verifyPresignatureOrSignature": "bf36994e", "hub.manageAppOrder": "b2b07e66",
	} {
		contract, method, _ := strings.Cut(name, ".")
		parsed := poco.HubABI()
		switch contract {
		case "registry":
			parsed = poco.RegistryABI()
		case "app":
			parsed = poco.AppABI()
		}
		if got := hex.EncodeToString(parsed.Methods[method].ID); got != want {
			t.Errorf("%s: selector %s, want %s", name, got, want)
		}
	}
}

// The createApp call that iExec's CLI made, made again: the same bytes.
func TestCreateAppOfTheSDK(t *testing.T) {
	data, err := os.ReadFile("testdata/sdk8-createApp-scone.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		IexecJSON struct {
			Owner                 common.Address
			Name, Type, Multiaddr string
			Checksum              common.Hash
			MREnclave             json.RawMessage
		}
		Tx struct{ Data hexutil.Bytes }
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	a := recorded.IexecJSON
	enclave, err := json.Marshal(a.MREnclave)
	if err != nil {
		t.Fatal(err)
	}
	got, err := poco.RegistryABI().Pack("createApp", a.Owner, a.Name, a.Type, []byte(a.Multiaddr), a.Checksum, enclave)
	if err != nil {
		t.Fatal(err)
	}
	if hexutil.Encode(got) != recorded.Tx.Data.String() {
		t.Errorf("calldata\n got %x\nwant %s", got, recorded.Tx.Data)
	}
}

func ExampleAppOrder_Hash() {
	order := poco.AppOrder{
		App:      common.HexToAddress("0x1111111111111111111111111111111111111111"),
		AppPrice: big.NewInt(0),
		Volume:   big.NewInt(1_000_000),
		Tag:      poco.TEE(),
	}
	fmt.Println(order.Hash(poco.Chains()[0].Domain()))
	// Output: 0x3c2d8eb02ef1c0d28d472df8cdfbb94dfbaeee67b9b5d6a26874c650b2598602
}
