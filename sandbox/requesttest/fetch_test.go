package requesttest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/gofrs/flock"

	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
	"github.com/mrelease/mrelease/sandbox/ipfs"
	"github.com/mrelease/mrelease/sandbox/worker"
)

// done is a deal whose tasks completed, whose results are behind a gateway that counts
// what is downloaded, and that has none of some tasks.
type done struct {
	t     *testing.T
	tasks []deal.Task
	url   string
	dir   string // that the results go to
	told  []string

	mu    sync.Mutex
	asked []string // paths of results
	gone  map[string]bool
}

// newDone makes a deal of some tasks. With a key the results are encrypted for it.
func newDone(t *testing.T, tasks int, key *rsa.PublicKey) *done {
	t.Helper()
	d, store := &done{t: t, dir: t.TempDir(), gone: map[string]bool{}}, &ipfs.Gateway{}
	for i := range tasks {
		text := fmt.Sprintf("result %d", i)
		archive := zipOf(t, [2]string{"result.txt", text}, [2]string{"computed.json", `{"deterministic-output-path":"/iexec_out/result.txt"}`})
		if key != nil {
			var err error
			archive, err = worker.Encrypt(archive, key, worker.CBC)
			must(t, err)
		}
		path, err := store.Add(archive)
		must(t, err)
		d.tasks = append(d.tasks, deal.Task{
			ID: common.Hash{1, byte(i)}, Index: uint64(i), Stage: deal.Completed, Digest: sha256.Sum256([]byte(text)),
			Results: fmt.Appendf(nil, `{"storage":"ipfs","location":%q}`, path),
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" && !d.count(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *done) count(path string) (has bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, path)
	return !d.gone[path]
}

func zipOf(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, file := range files {
		f, err := w.Create(file[0])
		must(t, err)
		_, err = f.Write([]byte(file[1]))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// lacks says that the gateway has the results of all tasks but these.
func (d *done) lacks(tasks ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = map[string]bool{}
	for _, i := range tasks {
		d.gone[d.path(i)] = true
	}
}

func (d *done) path(task int) string {
	where, err := d.tasks[task].Location()
	must(d.t, err)
	return where.Place
}

// fetch fetches into a folder, and returns how often each task's result was asked for.
func (d *done) fetch(to string, key *rsa.PrivateKey) (all []request.Fetched, asked []int, err error) {
	d.asked = nil
	f := request.Fetching{
		Gateways: gateway.Gateways{URLs: []string{d.url}}, Key: key, Tell: func(text string) { d.told = append(d.told, text) },
		Unpacking: result.Unpacking{Folder: filepath.Join(d.dir, to), Most: 1 << 20},
	}
	all, err = f.FetchAll(d.t.Context(), common.Hash{7}, d.tasks, func(request.Fetched) {})
	for i := range d.tasks {
		n := 0
		for _, path := range d.asked {
			if path == d.path(i) {
				n++
			}
		}
		asked = append(asked, n)
	}
	return all, asked, err
}

// partial is the folder that the results are in until all are there.
func (d *done) partial() string {
	return filepath.Join(d.dir, ".deal-"+common.Hash{7}.Hex()+".partial")
}

// left returns what is in the folder, besides results that are there.
func (d *done) left() []string {
	entries, err := os.ReadDir(d.dir)
	must(d.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (d *done) holds(name, want string) {
	d.t.Helper()
	got, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil || string(got) != want {
		d.t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
	}
}

// What was fetched of a deal before something went wrong is not fetched again, and what was
// compared then is told again.
func TestFetchAllGoesOn(t *testing.T) {
	d := newDone(t, 4, nil)
	d.lacks(2)
	var failed *gateway.Error
	if _, asked, err := d.fetch("result", nil); !errors.As(err, &failed) || !slices.Equal(asked, []int{1, 1, 1, 0}) {
		t.Fatalf("asked %v times, %v", asked, err)
	}
	info, err := os.Lstat(d.partial())
	if err != nil || info.Mode() != fs.ModeDir|0o700 || len(d.left()) != 1 || !strings.Contains(strings.Join(d.told, "\n"), d.partial()) {
		t.Fatalf("kept in %v, %v; left %v; told %q", info, err, d.left(), d.told)
	}
	// As a call that was killed leaves it.
	must(t, os.MkdirAll(filepath.Join(d.partial(), "arriving/2"), 0o700))
	d.lacks()
	_, asked, err := d.fetch("other/result", nil) // in another folder
	if err != nil || !slices.Equal(asked, []int{1, 1, 1, 1}) {
		t.Fatalf("elsewhere: asked %v times, %v", asked, err)
	}
	all, asked, err := d.fetch("result", nil)
	if err != nil || !slices.Equal(asked, []int{0, 0, 1, 1}) || len(all) != 4 {
		t.Fatalf("again: asked %v times, %v", asked, err)
	}
	for i, got := range all {
		if got.Before != (i < 2) || got.Got.Checked == got.Before || got.Result.Digest != d.tasks[i].Digest.Hex() || got.Folder != filepath.Join(d.dir, "result", fmt.Sprint(i)) || len(got.Result.Files) != 2 {
			t.Errorf("task %d: %+v", i, got)
		}
		d.holds(fmt.Sprintf("result/%d/result.txt", i), fmt.Sprintf("result %d", i))
	}
	if left := d.left(); !slices.Equal(left, []string{"other", "result"}) {
		t.Errorf("left: %v", left)
	}
	if all, asked, err := d.fetch("result", nil); err != nil || slices.Max(asked) != 0 || len(all) != 4 {
		t.Errorf("a third time: asked %v times, %v", asked, err)
	}
}

// A folder that is there is taken if it holds these results, as they compare with the chain,
// and nothing is fetched then; it is left as it is if it holds anything else.
func TestFetchAllThatIsThere(t *testing.T) {
	for name, change := range map[string]func(d *done) error{
		"it":           func(*done) error { return nil },
		"as at a kill": func(d *done) error { return os.MkdirAll(d.partial()+"/arriving", 0o700) },
	} {
		for _, tasks := range []int{1, 3} {
			d := newDone(t, tasks, nil)
			_, _, err := d.fetch("result", nil)
			must(t, errors.Join(err, change(d)))
			all, asked, err := d.fetch("result", nil)
			if err != nil || slices.Max(asked) != 0 || len(all) != tasks || !slices.Equal(d.left(), []string{"result"}) {
				t.Fatalf("%s, of %d: asked %v times, %v, left %v", name, tasks, asked, err, d.left())
			}
			for i, got := range all {
				if !got.Before || got.Got.Checked || got.Got.Unchecked == "" || got.Result.Digest != d.tasks[i].Digest.Hex() || len(got.Result.Files) != 2 {
					t.Errorf("%s: %+v", name, got)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(d *done) error
		want   string
	}{
		"another result":     {func(d *done) error { return os.WriteFile(d.dir+"/result/1/result.txt", []byte("other"), 0o600) }, "it has the digest 0x"},
		"one run less":       {func(d *done) error { return os.RemoveAll(d.dir + "/result/1") }, "it has other entries"},
		"something else too": {func(d *done) error { return os.WriteFile(d.dir+"/result/mine", nil, 0o600) }, "it has other entries"},
		"a file for a run": {func(d *done) error {
			return errors.Join(os.RemoveAll(d.dir+"/result/1"), os.WriteFile(d.dir+"/result/1", nil, 0o600))
		}, "it has other entries"},
		"no digest": {func(d *done) error { return os.Remove(d.dir + "/result/1/computed.json") }, "it cannot be compared with the chain: the result has no computed.json"},
		"a link": {func(d *done) error {
			return errors.Join(os.Rename(d.dir+"/result", d.dir+"/there"), os.Symlink("there", d.dir+"/result"))
		}, "it is no folder, or a link"},
		"an empty folder": {func(d *done) error {
			return errors.Join(os.RemoveAll(d.dir+"/result"), os.Mkdir(d.dir+"/result", 0o700))
		}, "it has other entries"},
		"another deal":       {func(d *done) error { d.tasks[0].Digest = common.Hash{9}; return nil }, "it has the digest 0x"},
		"no digest on chain": {func(d *done) error { d.tasks[0].Digest = common.Hash{}; return nil }, "no digest to compare with"},
	} {
		d := newDone(t, 2, nil)
		_, _, err := d.fetch("result", nil)
		must(t, errors.Join(err, c.change(d)))
		var exists *result.ExistsError
		if _, asked, err := d.fetch("result", nil); !errors.As(err, &exists) || slices.Max(asked) != 0 || !strings.Contains(exists.Problem, c.want) {
			t.Errorf("%s: asked %v times, %v (%+v)", name, asked, err, exists)
		}
	}
}

// A deal of one task leaves nothing when its result does not come.
func TestFetchAllOfOne(t *testing.T) {
	d := newDone(t, 1, nil)
	d.lacks(0)
	if _, _, err := d.fetch("result", nil); err == nil || len(d.left()) != 0 {
		t.Fatalf("left %v, %v", d.left(), err)
	}
	d.lacks()
	if _, _, err := d.fetch("result", nil); err != nil || !slices.Equal(d.left(), []string{"result"}) {
		t.Fatalf("left %v, %v", d.left(), err)
	}
	d.holds("result/result.txt", "result 0")
}

// What is not as it was written, or not what the chain has now, is fetched again.
func TestFetchAllDistrusts(t *testing.T) {
	for name, change := range map[string]func(d *done) error{
		"a changed file":     func(d *done) error { return os.WriteFile(d.partial()+"/results/0/result.txt", []byte("forged"), 0o600) },
		"a file more":        func(d *done) error { return os.WriteFile(d.partial()+"/results/0/more", nil, 0o600) },
		"a file less":        func(d *done) error { return os.Remove(d.partial() + "/results/0/computed.json") },
		"a link":             func(d *done) error { return os.Symlink("result.txt", d.partial()+"/results/0/link") },
		"no note":            func(d *done) error { return os.Remove(d.partial() + "/0.json") },
		"a note that is cut": func(d *done) error { return os.Truncate(d.partial()+"/0.json", 20) },
		"another version's": func(d *done) error {
			return os.WriteFile(d.partial()+"/0.json", []byte(`{"schema":"mrelease.fetched/v9"}`), 0o600)
		},
		"another task's note": func(d *done) error { return os.Rename(d.partial()+"/1.json", d.partial()+"/0.json") },
	} {
		d := newDone(t, 3, nil)
		d.lacks(2)
		if _, _, err := d.fetch("result", nil); err == nil {
			t.Fatal("it has a result that is not there")
		}
		d.lacks()
		must(t, change(d))
		all, asked, err := d.fetch("result", nil)
		if err != nil || asked[0] != 1 || all[0].Before || !strings.Contains(strings.Join(d.told, "\n"), "is fetched again: ") {
			t.Errorf("%s: asked %v times, %v, told %q", name, asked, err, d.told)
		}
		d.holds("result/0/result.txt", "result 0")
	}
}

// A folder of kept results that somebody else made, as one in an archive that was unpacked
// here, has notes that fit: what is in it is compared with the chain, and not with them.
func TestAttackKeptResultWithItsNote(t *testing.T) {
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	for name, told := range map[string]string{
		"as one that was compared": `"digest":"0x` + sum("result 0") + `"`,
		"with its own digest":      `"digest":"0x` + sum("forged 0") + `"`,
		"as one without a digest":  `"unchecked":"the result has no computed.json"`,
	} {
		d := newDone(t, 2, nil)
		d.lacks(1)
		if _, _, err := d.fetch("result", nil); err == nil {
			t.Fatal("it has a result that is not there")
		}
		d.lacks()
		must(t, os.WriteFile(d.partial()+"/results/0/result.txt", []byte("forged 0"), 0o600))
		note, err := os.ReadFile(d.partial() + "/0.json")
		must(t, err)
		chains, found, _ := strings.Cut(string(note), `"Result":`)
		found = strings.Replace(found, `"digest":"0x`+sum("result 0")+`"`, told, 1)
		found = strings.ReplaceAll(found, `"sha256":"`+sum("result 0"), `"sha256":"`+sum("forged 0"))
		must(t, os.WriteFile(d.partial()+"/0.json", []byte(chains+`"Result":`+found), 0o600))
		all, asked, err := d.fetch("result", nil)
		if err != nil || asked[0] != 1 || all[0].Before || !strings.Contains(strings.Join(d.told, "\n"), "it has the digest 0x") {
			t.Errorf("%s: asked %v times, %v, told %q", name, asked, err, d.told)
		}
		d.holds("result/0/result.txt", "result 0")
	}
}

// What is kept and cannot be compared with the chain, nor with its address, is fetched again:
// whoever made the folder could have put anything there.
func TestAttackKeptResultThatNothingTells(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	refit := func(d *done, change func(n map[string]any)) { // the note fits the files again
		text, err := os.ReadFile(d.partial() + "/0.json")
		must(t, err)
		var n map[string]any
		must(t, json.Unmarshal(text, &n))
		change(n)
		text, err = json.Marshal(n)
		must(t, errors.Join(err, os.WriteFile(d.partial()+"/0.json", text, 0o600)))
	}
	file := func(name, content string) map[string]any {
		return map[string]any{"name": name, "size": len(content), "sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
	}
	for name, c := range map[string]struct {
		key  *rsa.PublicKey
		put  func(d *done)
		want string
	}{
		"without what names the digest": {nil, func(d *done) {
			must(t, errors.Join(os.Remove(d.partial()+"/results/0/computed.json"), os.WriteFile(d.partial()+"/results/0/result.txt", []byte("forged"), 0o600)))
			refit(d, func(n map[string]any) { n["files"] = []any{file("result.txt", "forged")} })
		}, "it cannot be compared with the chain: the result has no computed.json"},
		"another archive": {&key.PublicKey, func(d *done) {
			must(t, os.WriteFile(d.partial()+"/results/0/result.zip", []byte("forged"), 0o600))
			refit(d, func(n map[string]any) { n["files"] = []any{file("result.zip", "forged")} })
		}, "it is not what its address names"},
		"a file beside the archive": {&key.PublicKey, func(d *done) {
			must(t, os.WriteFile(d.partial()+"/results/0/a", []byte("forged"), 0o600))
			refit(d, func(n map[string]any) { n["files"] = append([]any{file("a", "forged")}, n["files"].([]any)...) })
		}, "there is more than what was downloaded"},
		"a clear result as an archive": {nil, func(d *done) {
			refit(d, func(n map[string]any) { n["fetched"].(map[string]any)["Archive"] = "result.zip" })
		}, "there is more than what was downloaded"},
	} {
		d := newDone(t, 2, c.key)
		d.lacks(1)
		if _, _, err := d.fetch("result", nil); err == nil {
			t.Fatal("it has a result that is not there")
		}
		d.lacks()
		c.put(d)
		all, asked, err := d.fetch("result", nil)
		if err != nil || asked[0] != 1 || all[0].Before || !strings.Contains(strings.Join(d.told, "\n"), "is fetched again: "+c.want) {
			t.Errorf("%s: asked %v times, %v, told %q", name, asked, err, d.told)
		}
	}
}

// The folder that results are to be in is removed while another call is waited for.
func TestFetchAllWhoseFolderIsRemoved(t *testing.T) {
	d := newDone(t, 2, nil)
	must(t, os.Mkdir(d.partial(), 0o700))
	held := flock.New(filepath.Join(d.partial(), "lock"))
	must(t, held.Lock())
	f := request.Fetching{
		Gateways:  gateway.Gateways{URLs: []string{d.url}},
		Unpacking: result.Unpacking{Folder: filepath.Join(d.dir, "result"), Most: 1 << 20},
		Tell:      func(string) { must(t, errors.Join(os.RemoveAll(d.dir), held.Unlock())) },
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := f.FetchAll(ctx, common.Hash{7}, d.tasks, func(request.Fetched) {}); err != nil {
		t.Error(err)
	}
	d.holds("result/0/result.txt", "result 0")
}

// A result that came without the key is decrypted once there is one.
func TestFetchAllFindsTheKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	d := newDone(t, 2, &key.PublicKey)
	d.lacks(1)
	if _, _, err := d.fetch("result", nil); err == nil {
		t.Fatal("it has a result that is not there")
	}
	if _, asked, err := d.fetch("result", nil); err == nil || !slices.Equal(asked, []int{0, 1}) {
		t.Fatalf("without a key: asked %v times, %v", asked, err)
	}
	d.lacks()
	if _, asked, err := d.fetch("result", key); err != nil || !slices.Equal(asked, []int{1, 1}) {
		t.Fatalf("with a key: asked %v times, %v", asked, err)
	}
	d.holds("result/0/result.txt", "result 0")
}

// What lies where results would be kept is used only if it is the user's alone.
func TestAttackFolderOfPartialResults(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"others may write to it": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
		"others may read it":     func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o755)) },
		"it is another user's":   func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 12345, 12345)) },
		"it is a link":           func(path string) error { return os.Symlink(t.TempDir(), path) },
		"it is a file":           func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		d := newDone(t, 2, nil)
		must(t, put(d.partial()))
		var partial *request.PartialError
		if _, asked, err := d.fetch("result", nil); !errors.As(err, &partial) || slices.Max(asked) != 0 {
			t.Errorf("%s: asked %v times, %v", name, asked, err)
		}
	}
}

// Of two calls at once, one fetches, and the other finds that it was done.
func TestFetchAllTwice(t *testing.T) {
	d := newDone(t, 3, nil)
	f := request.Fetching{
		Gateways:  gateway.Gateways{URLs: []string{d.url}},
		Unpacking: result.Unpacking{Folder: filepath.Join(d.dir, "result"), Most: 1 << 20},
	}
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := f.FetchAll(t.Context(), common.Hash{7}, d.tasks, func(request.Fetched) {})
			errs <- err
		}()
	}
	if first, second := <-errs, <-errs; first != nil || second != nil || len(d.asked) != 3 {
		t.Errorf("%v, and %v; asked %d times", first, second, len(d.asked))
	}
	if left := d.left(); !slices.Equal(left, []string{"result"}) {
		t.Errorf("left: %v", left)
	}
}
