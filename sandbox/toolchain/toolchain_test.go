package toolchain_test

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/sandbox/toolchain"
)

// The scripts call the program under its names, as a Dockerfile does. The folder
// of the real programs is the script's own.
func TestMain(m *testing.M) {
	run := func() {
		ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		os.Exit(toolchain.Run(ctx, toolchain.World{
			Args: os.Args, Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
			Self: "/proc/self/exe", Programs: os.Getenv("WORK") + "/programs", Exec: syscall.Exec,
		}))
	}
	testscript.Main(m, map[string]func(){"scone": run, "scone-signer": run, "python3": run})
}

func TestScripts(t *testing.T) {
	key, err := os.ReadFile("signature/debug-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			return os.WriteFile(filepath.Join(env.WorkDir, "key.pem"), key, 0o600)
		},
	})
}
