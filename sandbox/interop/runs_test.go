//go:build interop

package interop

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/sandbox/clients"
	"github.com/mrelease/mrelease/sandbox/worker"
	"github.com/mrelease/mrelease/sandbox/world"
)

// Each version of the command line buys a run of our release from the sandbox's
// workerpool, follows it, downloads the result that the worker encrypted in the format of
// its time, and decrypts it.
func TestRuns(t *testing.T) {
	t.Parallel()
	s := newStage(t, &world.Pool{Ended: func(id common.Hash, err error) {
		if err != nil {
			t.Errorf("task %s: %v", id, err)
		}
	}})
	must(t, s.V6.Grant(t.Context(), common.HexToAddress(address(7))))
	for _, e := range editions(s) { // one after the other: they want different formats
		t.Run(e.name, func(t *testing.T) {
			s.SetFormat(worker.CBC)
			if e.version == 5 {
				s.SetFormat(worker.ECB)
			}
			newCLI(t, s, e).runs(t)
		})
	}
}

// runs has the owner run the app: the other accounts of an edition may be the pool's.
func (c *cli) runs(t *testing.T) {
	rec := c.release(t, c.ours("run", c.enclave, c.tag))
	me := c.owner
	c.call(t, append([]string{"result", "generate-encryption-keypair"}, c.local(me)...)...)
	c.as(t, me, "result", "push-encryption-key")
	c.as(t, me, "account", "deposit", "1000")
	bought := c.as(t, me, append([]string{
		"app", "run", common.Address(rec.App.Address).Hex(), "--workerpool", c.chain.Workerpool.Address.Hex(), "--category", "0",
		"--tag", c.tag, "--args", "from iexec", "--encrypt-result", "--watch", "--force",
	}, c.unchecked...)...)
	var deals []struct{ Dealid string }
	part(t, bought, "deals", &deals)
	if len(deals) != 1 {
		t.Fatalf("app run made %d deals:\n%s", len(deals), encode(t, bought))
	}
	shown := c.call(t, "deal", "show", deals[0].Dealid, "--chain", "local")
	var deal struct {
		Tasks      json.RawMessage // an object in version 5, a list since
		Requester  string
		Workerpool struct{ Pointer string }
	}
	part(t, shown, "deal", &deal)
	tasks := regexp.MustCompile("0x[0-9a-f]{64}").FindAllString(string(deal.Tasks), -1)
	if len(tasks) != 1 || deal.Requester != address(me) || deal.Workerpool.Pointer != c.chain.Workerpool.Address.Hex() {
		t.Fatalf("deal show: %s", encode(t, shown))
	}
	c.result(t, me, tasks[0])
}

// result lets the command line download and decrypt the result of a task.
func (c *cli) result(t *testing.T, account int, task string) {
	t.Helper()
	cmd := c.Command(t.Context(), append([]string{"task", "show", task, "--download", "run", "--decrypt"}, c.wallet(account)...)...)
	if c.version == 5 { // see decryptsOurs
		cmd.Args = slices.Insert(cmd.Args, 1, "--security-revert=CVE-2023-46809")
	}
	out, err := cmd.CombinedOutput()
	answer, ok := clients.Parse(out)
	if err != nil || !ok {
		t.Fatalf("task show: %v\n%s", err, out)
	}
	var shown struct {
		StatusName string
		Results    json.RawMessage
	}
	part(t, answer, "task", &shown)
	if shown.StatusName != "COMPLETED" {
		t.Errorf("task show: %s", out)
	}
	if got := c.unpacked(t, "run.zip", "result.txt"); got != "hello from iexec\n" {
		t.Errorf("the result is %q", got)
	}
}

// unpacked returns a file of an archive.
func (c *cli) unpacked(t *testing.T, archive, name string) string {
	t.Helper()
	files, err := zip.OpenReader(filepath.Join(c.Dir, archive))
	if err != nil {
		list, _ := os.ReadDir(c.Dir)
		t.Fatal(err, list)
	}
	defer files.Close()
	f, err := files.Open(name)
	must(t, err)
	content, err := io.ReadAll(f)
	must(t, err)
	return string(content)
}
