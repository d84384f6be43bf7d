package iexeccli_test

import (
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/poco"
)

var released = iexeccli.Released{
	ChainID: 134, Address: common.HexToAddress("0x3000000000000000000000000000000000000003"),
	App: poco.App{
		Owner: common.HexToAddress("0x1000000000000000000000000000000000000001"), Name: "hello", Type: "DOCKER",
		Multiaddr: []byte("registry.example/hello:1.1.0"), Checksum: common.Hash{31: 7}, MREnclave: []byte(`{"framework":"SCONE","fingerprint":"aa"}`),
	},
	Order: poco.SignedAppOrder{
		AppOrder: poco.AppOrder{App: common.HexToAddress("0x3000000000000000000000000000000000000003"), AppPrice: big.NewInt(5), Volume: big.NewInt(9), Tag: poco.TEE()},
		Sign:     make([]byte, 65),
	},
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What a release does not know of stays, in its place; a second time nothing changes.
func TestUpdatesKeepTheRest(t *testing.T) {
	dir := folder(t, map[string]string{
		"iexec.json":    `{"description":"a <b> & c","app":{"owner":"0x1000000000000000000000000000000000000001","note":{"z":1,"a":[1.50]},"name":"hello","mrenclave":"old"},"dapps":[],"order":{"requestorder":{"x":1},"apporder":{"app":"0x2000000000000000000000000000000000000002","appprice":"5"}}}`,
		"deployed.json": `{"dataset":{"134":"0x9"},"app":{"421614":"0x8","134":"0x2000000000000000000000000000000000000002"}}`,
	})
	about, err := iexeccli.ReadAbout(dir, 134)
	if err != nil || about.Name != "hello" || about.Owner != released.App.Owner || len(about.Apps) != 1 || about.Apps[0] != common.HexToAddress("0x2000000000000000000000000000000000000002") {
		t.Errorf("got %+v, %v", about, err)
	}
	updates, err := iexeccli.Updates(dir, released)
	if err != nil || len(updates) != 3 {
		t.Fatalf("got %d files, %v", len(updates), err)
	}
	for _, u := range updates {
		name := filepath.Base(u.Path)
		want, err := os.ReadFile(filepath.Join("testdata", "updated-"+name))
		if err != nil || string(u.Data) != string(want) {
			t.Errorf("%s: got\n%swant\n%s%v", name, u.Data, want, err)
		}
		if err := os.WriteFile(u.Path, u.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := iexeccli.Updates(dir, released); err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
	about, err = iexeccli.ReadAbout(dir, 134)
	if err != nil || !slices.Equal(about.Apps, []common.Address{released.Address}) {
		t.Errorf("got %+v, %v", about, err)
	}
}

func TestUpdatesOfAnEnclave(t *testing.T) {
	for given, want := range map[string]string{"": "", "key|tag|mrenclave": `"mrenclave": "key|tag|mrenclave"`} {
		r := released
		r.App.MREnclave = []byte(given)
		updates, err := iexeccli.Updates(folder(t, map[string]string{"iexec.json": `{"app":{"mrenclave":"old"}}`}), r)
		if err != nil || !strings.Contains(string(updates[0].Data), want) || strings.Contains(string(updates[0].Data), "old") {
			t.Errorf("%q: %s, %v", given, updates, err)
		}
	}
}

func TestUpdatesOfWhatIsNoProject(t *testing.T) {
	for _, files := range []map[string]string{
		{}, {"iexec.json": ""}, {"iexec.json": "[]"}, {"iexec.json": "{}", "deployed.json": "7"}, {"iexec.json": "{}", "orders.json": "{"}, {"iexec.json": `{"a":1} x`},
	} {
		if updates, err := iexeccli.Updates(folder(t, files), released); err == nil {
			t.Errorf("%v: got %s", files, updates)
		}
	}
}

// Whatever the files hold is kept: what is read again is the same but for what is set.
func FuzzUpdates(f *testing.F) {
	for _, seed := range []string{`{}`, `{"app":7,"order":{"apporder":[]}}`, `{"a":"\u2028","a":2,"app":{"mrenclave":{}}}`, `{"":{"":[null,1e400]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := folder(t, map[string]string{"iexec.json": text})
		updates, err := iexeccli.Updates(dir, released)
		if err != nil {
			return
		}
		for _, u := range updates {
			if err := os.WriteFile(u.Path, u.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := iexeccli.Updates(dir, released); err != nil || len(again) != 0 {
			t.Errorf("again: %s, %v", again, err)
		}
	})
}
