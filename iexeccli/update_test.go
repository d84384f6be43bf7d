package iexeccli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
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
		{"iexec.json": `{"app":[{"note":1}]}`}, {"iexec.json": "{}", "deployed.json": `{"app":"0x1"}`}, {"iexec.json": "{}", "orders.json": `{"134":[1e400]}`}, {"iexec.json": "\ufeff{}"}, {"iexec.json": "{} // kept"},
	} {
		updates, err := iexeccli.Updates(folder(t, files), released)
		if missing := len(files) == 0; err == nil || errors.Is(err, fs.ErrNotExist) != missing {
			t.Errorf("%v: got %s, %v", files, updates, err)
		}
	}
}

// What is not to be set is kept byte for byte, and a null is nothing.
func TestUpdatesKeepNumbersAndOddTexts(t *testing.T) {
	kept := `[9007199254740993, 1e400, -0.0, "\u2028\ud800", {"a": 1, "a": 2}]`
	updates, err := iexeccli.Updates(folder(t, map[string]string{"iexec.json": `{"kept":` + kept + `,"app":{"kept":` + kept + "},\r\n" + `"order":null}`, "deployed.json": `{"app":null}`, "orders.json": `{"134":{"apporder":null},"1":` + kept + `}`}), released)
	if err != nil || len(updates) != 3 {
		t.Fatalf("%v, %v", updates, err)
	}
	for i, times := range []int{2, 0, 1} {
		var text bytes.Buffer
		if err := json.Compact(&text, updates[i].Data); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(kept, " ", ""); strings.Count(text.String(), want) != times {
			t.Errorf("%s has %s not %d times", &text, want, times)
		}
	}
}

// A link in the project is not written over, nor is what it leads to copied into it.
func TestUpdatesOfALink(t *testing.T) {
	for _, name := range iexeccli.Files() {
		dir := folder(t, map[string]string{"iexec.json": "{}", "other": `{"secret":1}`})
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && name == iexeccli.File {
			t.Fatal(err)
		}
		if err := os.Symlink("other", path); err != nil {
			t.Fatal(err)
		}
		if updates, err := iexeccli.Updates(dir, released); err == nil || !strings.Contains(err.Error(), "it is a link") {
			t.Errorf("%s: %s, %v", name, updates, err)
		}
	}
}

// The order that is there is known, before another takes its place; what is none is refused.
func TestReadAboutAnOrder(t *testing.T) {
	dir := folder(t, map[string]string{"iexec.json": "{}"})
	updates, err := iexeccli.Updates(dir, released)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range updates {
		if err := os.WriteFile(u.Path, u.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if about, err := iexeccli.ReadAbout(dir, 134); err != nil || about.Order == nil || !about.Order.AppOrder.Equal(released.Order.AppOrder) {
		t.Errorf("got %+v, %v", about.Order, err)
	}
	if about, err := iexeccli.ReadAbout(dir, 1); err != nil || about.Order != nil {
		t.Errorf("of another chain: got %+v, %v", about.Order, err)
	}
	if about, err := iexeccli.ReadAbout(folder(t, map[string]string{"iexec.json": "{}", "orders.json": `{"134":{"apporder":{"app":7}}}`}), 134); err == nil {
		t.Errorf("of what is no order: got %+v", about.Order)
	}
}

// Whatever the files hold is kept but for what is set, and a second update changes nothing.
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
			if filepath.Base(u.Path) == iexeccli.File && !maps.Equal(others(t, u.Data), others(t, []byte(text))) {
				t.Errorf("of %s is made %s", text, u.Data)
			}
		}
		if again, err := iexeccli.Updates(dir, released); err != nil || len(again) != 0 {
			t.Errorf("again: %s, %v", again, err)
		}
	})
}

// others are the members that no update sets, as they are written.
func others(t *testing.T, data []byte) map[string]string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "app")
	delete(all, "order")
	texts := map[string]string{}
	for key, value := range all {
		var text bytes.Buffer
		if err := json.Compact(&text, value); err != nil {
			t.Fatal(err)
		}
		texts[key] = text.String()
	}
	return texts
}
