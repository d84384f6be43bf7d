package iexeccli_test

import (
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

func read(t *testing.T, files map[string]string) iexeccli.Project {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := iexeccli.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const owner = "0x7bd4783FDCAD405A28052a0d1f11236A741da593"

// One project of each generation, with the keys that the command line's own
// templates of that version have.
func TestRead(t *testing.T) {
	pipe := strings.Repeat("3b", 32) + "|" + strings.Repeat("b8", 16) + "|" + strings.Repeat("b8", 32)
	zero := `"0x0000000000000000000000000000000000000000"`
	restricts := `"datasetrestrict":` + zero + `,"workerpoolrestrict":` + zero + `,"requesterrestrict":`
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  iexeccli.Project // without notes, and Order as below
		order string           // price, volume, tag
	}{
		{
			"3.x on a chain that is gone", map[string]string{
				"iexec.json": `{"app":{"owner":"` + owner + `","name":"VanityEth","type":"DOCKER","multiaddr":"registry.hub.docker.com/iexechub/vanityeth:1.1.1","checksum":"0x00f5","mrenclave":"` + pipe + `"},
					"order":{"apporder":{"app":` + zero + `,"appprice":0,"volume":1000000,"tag":"0x0000000000000000000000000000000000000000000000000000000000000001",` + restricts + zero + `}}}`,
				"chain.json":    `{"default":"kovan","chains":{"kovan":{"host":"https://kovan.example/v3/key","id":"42","sms":"https://sms-kovan.iex.ec"}}}`,
				"deployed.json": `{"app":{"42":"0x2000000000000000000000000000000000000002"}}`,
			},
			iexeccli.Project{Name: "VanityEth", Owner: common.HexToAddress(owner), Image: "docker.io/iexechub/vanityeth", Format: measure.Legacy},
			"0 1000000 tee",
		},
		{
			"6.x, with the provider's old name", map[string]string{
				"iexec.json": `{"app":{"owner":` + zero + `,"name":"tee-python-hello-world","type":"DOCKER","multiaddr":"iexechub/python-hello-world:7.0.5-sconify-5.3.15-v8-production",
					"mrenclave":{"provider":"SCONE","version":"v5","entrypoint":"python /app/app.py","heapSize":1073741824,"fingerprint":"9be0"}},
					"order":{"apporder":{"appprice":"0","volume":"1000000","tag":[]}}}`,
				"chain.json": `{"default":"bellecour","chains":{"bellecour":{},"viviani":{}}}`,
			},
			iexeccli.Project{
				Name: "tee-python-hello-world", Image: "docker.io/iexechub/python-hello-world", Chain: poco.Chains()[0], Format: measure.JSON,
				Enclave: measure.Object{Framework: "SCONE", Version: "v5", Entrypoint: "python /app/app.py", HeapSize: 1 << 30},
			},
			"0 1000000 tee,scone",
		},
		{
			"8.x, the object as text, terms in units", map[string]string{
				"iexec.json": `{"app":{"name":"hello","multiaddr":"ghcr.io/acme/hello:1",
					"mrenclave":"{\"framework\":\"scone\",\"version\":\"v5.9\",\"entrypoint\":\"node /app/app.js\",\"heapSize\":\"1073741824\",\"fingerprint\":\"2d4b\"}"},
					"order":{"apporder":{"appprice":"0.5 RLC","volume":10,"tag":["tee","scone"],` + restricts + `"` + owner + `"}}}`,
				"chain.json": `{"default":"arbitrum-mainnet","chains":{"arbitrum-mainnet":{"host":"https://node.example","sms":{"scone":"https://sms.example"},"useGas":true}}}`,
			},
			iexeccli.Project{
				Name: "hello", Image: "ghcr.io/acme/hello", Chain: changed(poco.Chains()[1], "https://node.example"), Format: measure.JSON,
				Enclave: measure.Object{Framework: "SCONE", Version: "v5.9", Entrypoint: "node /app/app.js", HeapSize: 1 << 30},
			},
			"500000000 10 tee,scone",
		},
		{
			"9.x: TDX, nothing stored, the order was signed", map[string]string{
				"iexec.json":  `{"app":{"name":"hello","multiaddr":"docker.io/acme/hello:1"}}`,
				"chain.json":  `{"default":"arbitrum-sepolia-testnet","chains":{"arbitrum-sepolia-testnet":{}}}`,
				"orders.json": `{"421614":{"apporder":{"appprice":"3","volume":"7","tag":"0x0000000000000000000000000000000000000000000000000000000000000009"}}}`,
			},
			iexeccli.Project{Name: "hello", Image: "docker.io/acme/hello", Chain: poco.Chains()[2], Format: measure.None},
			"3 7 tee,tdx",
		},
		{
			"a chain of its own", map[string]string{
				"iexec.json": `{"app":{"name":"hello","multiaddr":"localhost:5000/hello:1"}}`,
				"chain.json": `{"default":"dev","chains":{"dev":{"id":"65535","host":"http://localhost:8545","hub":"0xC129e7917b7c7DeDfAa5Fff1FB18d5D7050fE8ca","iexecGateway":"http://localhost:3000","useGas":false}}}`,
			},
			iexeccli.Project{Name: "hello", Image: "localhost:5000/hello", Chain: poco.Chain{
				Name: "dev", ID: 65535, RPC: "http://localhost:8545", Market: "http://localhost:3000",
				Hub: common.HexToAddress("0xC129e7917b7c7DeDfAa5Fff1FB18d5D7050fE8ca"), Fees: poco.FeesLegacy,
			}},
			"",
		},
		{
			"only where it was deployed is known", map[string]string{
				"iexec.json": `{"app":{"name":"hello","mrenclave":""}}`, "deployed.json": `{"app":{"134":"0x2000000000000000000000000000000000000002"}}`,
			},
			iexeccli.Project{Name: "hello", Chain: poco.Chains()[0]}, "",
		},
		{
			"a wallet in the folder", map[string]string{"iexec.json": `{"app":{"name":"hello"}}`, "encrypted-wallet.json": "{}"},
			iexeccli.Project{Name: "hello", Wallet: "encrypted-wallet.json"}, "",
		},
	} {
		got := read(t, tt.files)
		if len(got.Took) == 0 {
			t.Errorf("%s: no word about what was taken", tt.name)
		}
		if o := terms(got.Order); o != tt.order {
			t.Errorf("%s: order %q, want %q", tt.name, o, tt.order)
		}
		got.Took, got.Left, got.Order = nil, nil, iexeccli.Terms{}
		if !equal(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func changed(c poco.Chain, rpc string) poco.Chain {
	c.RPC, c.Market = rpc, ""
	return c
}

func equal(a, b iexeccli.Project) bool {
	return a.Name == b.Name && a.Owner == b.Owner && a.Image == b.Image && a.Format == b.Format && a.Enclave == b.Enclave && reflect.DeepEqual(a.Chain, b.Chain) && a.Wallet == b.Wallet
}

func terms(o iexeccli.Terms) string {
	if o.Price == nil || o.Volume == nil {
		return ""
	}
	tag := ""
	if o.Tag != nil {
		tag = strings.Join(o.Tag.Names(), ",")
	}
	return strings.Join([]string{text(*o.Price), text(*o.Volume), tag}, " ")
}

func text(n uint64) string { return new(big.Int).SetUint64(n).String() }

// Each value that cannot be taken is told, and none of them stops the rest.
func TestReadLeaves(t *testing.T) {
	p := read(t, map[string]string{
		"iexec.json": `{"app":{"name":"hello","owner":"me.iexec.eth","type":"ZIP","multiaddr":"/ipfs/Qm?","mrenclave":"ab|cd|ef"},
			"order":{"apporder":{"appprice":"1 ETH","volume":0.5,"tag":["tee","sgx"],"requesterrestrict":"friends.iexec.eth"}}}`,
		"chain.json":  `{"default":"viviani","chains":{"viviani":{}}}`,
		"wallet.json": `{"privateKey":"0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"}`,
	})
	var left []string
	for _, n := range p.Left {
		if strings.Contains(n.Text, "5de4") {
			t.Errorf("the key is shown: %+v", n)
		}
		left = append(left, n.From)
	}
	want := []string{
		"iexec.json app.owner", "iexec.json app.type", "iexec.json app.multiaddr", "iexec.json app.mrenclave",
		"chain.json default",
		"iexec.json order.apporder.appprice", "iexec.json order.apporder.volume", "iexec.json order.apporder.tag", "iexec.json order.apporder.requesterrestrict",
		"wallet.json",
	}
	if strings.Join(left, "\n") != strings.Join(want, "\n") {
		t.Errorf("left out:\n%s\nwant:\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
	if p.Name != "hello" {
		t.Errorf("the name was not taken: %+v", p)
	}
}

// A tag that names another framework than the app's is nobody's.
func TestReadTagOfAnotherFramework(t *testing.T) {
	for text, undecided := range map[string]bool{
		`{"app":{"mrenclave":{"framework":"GRAMINE","version":"v0"}},"order":{"apporder":{"tag":"0x9"}}}`:             true,
		`{"app":{"mrenclave":{"framework":"TDX"}},"order":{"apporder":{"tag":["tee","scone"]}}}`:                      true,
		`{"app":{"mrenclave":{"framework":"GRAMINE","version":"v0"}},"order":{"apporder":{"tag":["tee","gramine"]}}}`: false,
		`{"app":{"mrenclave":{"framework":"GRAMINE","version":"v0"}},"order":{"apporder":{"tag":"0x1"}}}`:             false,
		`{"app":{},"order":{"apporder":{"tag":"0x9"}}}`:                                                               false,
	} {
		if _, open := read(t, map[string]string{"iexec.json": text}).Undecided["order.tag"]; open != undecided {
			t.Errorf("%s: undecided is %t", text, open)
		}
	}
}

func TestReadFails(t *testing.T) {
	if _, err := iexeccli.Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no project: %v, want ErrNotExist", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "iexec.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := iexeccli.Read(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no JSON: %v", err)
	}
}

// What could not be read leaves its key undecided: no default takes its place.
func TestReadUndecided(t *testing.T) {
	for _, tt := range []struct{ field, value, key string }{
		{"order.apporder.appprice", `"1.5"`, "order.price"},
		{"order.apporder.appprice", `1.5`, "order.price"},
		{"order.apporder.appprice", `-1`, "order.price"},
		{"order.apporder.appprice", `{}`, "order.price"},
		{"order.apporder.volume", `"many"`, "order.volume"},
		{"order.apporder.tag", `["tee", "sgx"]`, "order.tag"},
		{"order.apporder.tag", `["tee", 5]`, "order.tag"},
		{"order.apporder.tag", `{"tee": true}`, "order.tag"},
		{"order.apporder.tag", `"0xzz"`, "order.tag"},
		{"order.apporder.tag", `["scone"]`, "order.tag"},
		{"order.apporder.tag", `"0x8"`, "order.tag"},
		{"order.apporder", `"none"`, "order.price"},
		{"order.apporder.requesterrestrict", `"0x00"`, "order.requesterrestrict"},
		{"order.apporder.requesterrestrict", `["` + owner + `"]`, "order.requesterrestrict"},
		{"order.apporder.datasetrestrict", `"data.iexec.eth"`, "order.datasetrestrict"},
		{"order.apporder.workerpoolrestrict", `0`, "order.workerpoolrestrict"},
		{"order.apporder.requesterrestrict", `""`, "order.requesterrestrict"},
		{"app.owner", `"me.iexec.eth"`, "wallet.address"},
		{"app.owner", `"` + owner[2:] + `"`, "wallet.address"},
		{"app.mrenclave", `{"framework":"sconify","version":"v5"}`, "enclave.framework"},
		{"app.mrenclave", `{"version":"v5"}`, "enclave.framework"},
		{"app.mrenclave", `{"framework":"SCONE","version":"v5","entrypoint":"x","heapSize":"1G"}`, "enclave.heap"},
	} {
		text := tt.value
		for _, name := range slices.Backward(strings.Split(tt.field, ".")) {
			text = `{"` + name + `":` + text + `}`
		}
		p := read(t, map[string]string{"iexec.json": text})
		if len(p.Undecided) != 1 || p.Undecided[tt.key].Text == "" || len(p.Left) == 0 {
			t.Errorf("%s: undecided is %v, left %v; want %s", text, p.Undecided, p.Left, tt.key)
		}
	}
	for file, tt := range map[string]struct{ text, key string }{
		`chain.json {"default":"viviani","chains":{"viviani":{}}}`: {"viviani", "chain"},
		`chain.json {`: {"reading chain.json: it is no JSON: line 1: unexpected end of JSON input", "chain"},
		`chain.json {"default":"local","chains":{"local":{"id":"one","hub":"` + owner + `"}}}`:     {"one", "chain"},
		`chain.json {"default":"local","chains":{"local":{"id":"134","hub":"0x12"}}}`:              {"0x12", "chain"},
		`chain.json {"default":"local","chains":{"local":{"id":"134","hub":"` + owner[2:] + `"}}}`: {owner[2:], "chain"},
		`orders.json []`: {"reading orders.json: it is no JSON object: it holds one array", "order.price"},
		`orders.json {"1337":{"apporder":{"appprice":"3"}},"7":{"apporder":{"appprice":"4"}}}`: {"orders of 2 chains", "order.price"},
	} {
		name, text, _ := strings.Cut(file, " ")
		p := read(t, map[string]string{"iexec.json": `{"app":{"name":"hello"}}`, name: text})
		if len(p.Undecided) != 1 || p.Undecided[tt.key].Text != tt.text {
			t.Errorf("%s: undecided is %v, want %s: %s", file, p.Undecided, tt.key, tt.text)
		}
	}
}

// An app that has no order yet gets the tag of its framework.
func TestReadTagOfFramework(t *testing.T) {
	for mrenclave, want := range map[string]string{
		`{"framework":"SCONE","version":"v5","entrypoint":"node /app/app.js","heapSize":1073741824,"fingerprint":"35"}`: "tee,scone",
		`{"framework":"TDX"}`: "tee,tdx",
		`{"framework":"gramine","version":"v0","fingerprint":"35"}`: "tee,gramine",
		`{"framework":"sconify","version":"v5"}`:                    "",
		`""`:                                                        "",
	} {
		for _, order := range []string{``, `,"order":{"apporder":{"tag":[]}}`, `,"order":{"apporder":{"tag":"0x0"}}`} {
			p := read(t, map[string]string{"iexec.json": `{"app":{"mrenclave":` + mrenclave + `}` + order + `}`})
			got := ""
			if p.Order.Tag != nil {
				got = strings.Join(p.Order.Tag.Names(), ",")
			}
			if got != want {
				t.Errorf("%s%s: tag %q, want %q", mrenclave, order, got, want)
			}
			if order != "" && !slices.ContainsFunc(p.Left, func(n iexeccli.Note) bool { return n.From == "iexec.json order.apporder.tag" }) {
				t.Errorf("%s%s: it is not told that the tag was not taken: %v", mrenclave, order, p.Left)
			}
		}
	}
	p := read(t, map[string]string{"iexec.json": `{"app":{"mrenclave":{"framework":"GRAMINE","version":"v0"}}}`})
	if len(p.Left) != 1 || !strings.Contains(p.Left[0].Text, "cannot be measured here") {
		t.Errorf("GRAMINE: left %v", p.Left)
	}
}

// The wallets that iexec init --keystoredir local writes.
func TestReadKeystore(t *testing.T) {
	file := func(address string) string { return "UTC--2026-01-01T00-00-00.000000000Z--" + address[2:] }
	other := "0x2000000000000000000000000000000000000002"
	for _, tt := range []struct {
		name, owner string
		files       []string
		want        string
	}{
		{"the only one", "", []string{file(owner)}, file(owner)},
		{"the owner's", owner, []string{file(other), file(owner)}, file(owner)},
		{"somebody else's", owner, []string{file(other)}, ""},
		{"several, and no owner", "", []string{file(other), file(owner)}, ""},
		{"no keystore", "", []string{"UTC--notes--x", "a--" + owner[2:]}, ""},
	} {
		files := map[string]string{"iexec.json": `{"app":{"owner":"` + tt.owner + `"}}`}
		for _, f := range tt.files {
			files[f] = "{}"
		}
		p := read(t, files)
		if told := len(p.Left) > 0; p.Wallet != tt.want || told != (tt.want == "" && tt.name != "no keystore") {
			t.Errorf("%s: wallet %q, want %q; left %v", tt.name, p.Wallet, tt.want, p.Left)
		}
	}
}

// A chain of one's own keeps its name, whatever its id is.
func TestReadPrivateChain(t *testing.T) {
	hub := "0xC129e7917b7c7DeDfAa5Fff1FB18d5D7050fE8ca"
	for _, rest := range []string{``, `,"host":"http://localhost:8545"`} {
		p := read(t, map[string]string{
			"iexec.json": `{"app":{"name":"hello"}}`, "chain.json": `{"default":"local","chains":{"local":{"id":"134","hub":"` + hub + `"` + rest + `}}}`,
		})
		if p.Chain.Name != "local" || p.Chain.Hub.Hex() != hub || p.Chain.ID != 134 || p.Chain.Fees != poco.FeesLegacy {
			t.Errorf("%s: chain %+v", rest, p.Chain)
		}
	}
}

// The chain has an image's name as bytes, and so do SDKs that print them.
func TestBytesAreNoImage(t *testing.T) {
	p := read(t, map[string]string{"iexec.json": `{"app":{"name":"hello","multiaddr":"0x6768"}}`})
	if p.Image != "" || len(p.Left) == 0 || p.Left[0].From != "iexec.json app.multiaddr" {
		t.Errorf("image %q, left %+v", p.Image, p.Left)
	}
}

func TestNoProject(t *testing.T) {
	for text, want := range map[string]string{
		"": "it is empty", " \n": "it is empty", "[]": "it is no JSON object: it holds one array", "5": "it is no JSON object: it holds one number",
		"// c\n{}": "line 1: invalid character '/'", "{\n\"app\": {},\n}\n": "line 3: invalid character '}'", "{": "line 1: unexpected end",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, iexeccli.File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := iexeccli.Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
