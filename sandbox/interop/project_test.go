//go:build interop

package interop

import (
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/publish/record"
)

// findsItsProject lets the command line work with the files of its project as a release
// left them: it takes the app from deployed.json, and the order from orders.json.
func (c *cli) findsItsProject(t *testing.T) {
	r := c.ours("project", c.enclave, c.tag)
	r.project = c.Dir
	c.call(t, append(append([]string{"app", "init"}, c.init...), c.local(c.owner)...)...)
	c.as(t, c.owner, "order", "init", "--app")
	must(t, c.Edit(map[string]any{"name": r.name}, "app"))
	first := c.release(t, r)
	c.finds(t, r, first)

	// A later release takes its place; then it is sold again, by an order of its own.
	c.mrelease(t, r, "release", "--version", "1.1.0", "--progress", "quiet")
	later, err := record.ReadFile(filepath.Join(r.dir, r.name+".json"))
	must(t, err)
	c.finds(t, r, later)
	c.mrelease(t, r, "rollback")
	c.finds(t, r, first)
}

// finds compares what the command line takes from the project's files with a record.
func (c *cli) finds(t *testing.T, r release, rec record.Record) {
	t.Helper()
	app := common.Address(rec.App.Address).Hex()
	shown := c.call(t, "app", "show", "--chain", "local")
	if at := text(t, shown, "address"); at != app {
		t.Errorf("iexec %d finds app %s, want %s", c.version, at, app)
	}
	var has struct{ AppName string }
	part(t, shown, "app", &has)
	if has.AppName != r.name {
		t.Errorf("iexec %d shows app %q, want %q", c.version, has.AppName, r.name)
	}
	// The market has the order that the file has, which is signed by who may.
	publish := []string{"order", "publish", "--app", "--force"}
	c.refuses(t, "order already published", append(publish, c.wallet(c.owner)...)...)
}
