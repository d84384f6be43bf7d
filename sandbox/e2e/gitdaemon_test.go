//go:build cases

package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// gitDaemon serves a folder's repositories with git's own daemon until the script ends,
// and puts its address into a variable:
//
//	git-daemon VARIABLE FOLDER
func gitDaemon(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: git-daemon VARIABLE FOLDER")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := free.Addr().String()
	host, port, err := net.SplitHostPort(address)
	ts.Check(err)
	ts.Check(free.Close())
	ctx, stop := context.WithCancel(context.Background())
	// The daemon itself, not "git daemon", which would leave it behind when it is killed.
	folder, err := exec.Command("git", "--exec-path").Output()
	ts.Check(err)
	daemon := exec.CommandContext(ctx, string(folder[:len(folder)-1])+"/git-daemon", "--listen="+host, "--port="+port, "--base-path="+ts.MkAbs(args[1]), "--export-all")
	daemon.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	ts.Check(daemon.Start())
	ts.Defer(func() {
		stop()
		_ = daemon.Wait() // it was killed
	})
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			ts.Check(c.Close())
			ts.Setenv(args[0], address)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("git's daemon does not listen at %s", address)
}
