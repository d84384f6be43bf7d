//go:build interop

package clef_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/mrelease/mrelease/keys/clef"
)

// person is who sits before Clef: its user interface, over standard input and output.
type person struct {
	says func(method string, transaction map[string]any) bool
}

type request struct {
	Transaction map[string]any `json:"transaction"`
}

func (p person) ApproveTx(r request) map[string]any {
	return map[string]any{"approved": p.says("transaction", r.Transaction), "transaction": r.Transaction}
}

func (p person) ApproveSignData(json.RawMessage) map[string]any {
	return map[string]any{"approved": p.says("data", nil)}
}

func (p person) ApproveListing(r map[string]any) map[string]any {
	if !p.says("list", nil) {
		return map[string]any{"accounts": nil}
	}
	return map[string]any{"accounts": r["accounts"]}
}

func (person) OnInputRequired(json.RawMessage) map[string]any {
	return map[string]any{"text": password}
}
func (person) OnApprovedTx(json.RawMessage)    {}
func (person) OnSignerStartup(json.RawMessage) {}
func (person) ShowError(json.RawMessage)       {}
func (person) ShowInfo(json.RawMessage)        {}

const password = "a long password"

// pipes are Clef's standard output and input.
type pipes struct {
	io.Reader
	io.WriteCloser
}

func (p pipes) SetWriteDeadline(time.Time) error { return nil }

// startClef runs bin/clef with a person's answers and returns the account in it.
func startClef(t *testing.T, p person) clef.Signer {
	t.Helper()
	program, err := filepath.Abs("../../bin/clef")
	must(t, err)
	dir, a := t.TempDir(), newAccount(t)
	imported, err := keystore.NewKeyStore(filepath.Join(dir, "keys"), keystore.LightScryptN, keystore.LightScryptP).ImportECDSA(a.key, password)
	must(t, err)
	socket := filepath.Join(dir, "clef.ipc")
	c := exec.CommandContext(t.Context(), program, "--stdio-ui", "--suppress-bootwarn", "--nousb", "--lightkdf", "--advanced", "--loglevel", "1",
		"--chainid", "65535", "--keystore", filepath.Join(dir, "keys"), "--configdir", filepath.Join(dir, "config"), "--ipcpath", dir, "--auditlog", "")
	c.Stderr = t.Output()
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	server := rpc.NewServer()
	must(t, server.RegisterName("ui", p))
	go server.ServeCodec(rpc.NewCodec(pipes{out, in}), 0)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return clef.Signer{At: socket, Account: imported.Address}
		}
		if time.Now().After(deadline) {
			t.Fatal("Clef has opened no socket")
		}
	}
}

// Clef itself is the judge: it takes what it is asked, and what it signs is to the byte what
// a key in memory signs.
func TestClefItself(t *testing.T) {
	t.Run("yes", func(t *testing.T) {
		signsAsHere(t, startClef(t, person{func(string, map[string]any) bool { return true }}))
	})
	t.Run("no", func(t *testing.T) {
		s := startClef(t, person{func(method string, _ map[string]any) bool { return method == "list" }})
		w, err := s.Open(t.Context())
		must(t, err)
		_, err = w.SignText(t.Context(), []byte("text"))
		refused(t, err, "was told not to sign")
		_, err = w.SignTypedData(t.Context(), order().TypedData(hub()))
		refused(t, err, "was told not to sign")
		_, err = w.SignTransaction(t.Context(), call(), 65535, "createApp(address)")
		refused(t, err, "was told not to sign")
		_, err = w.SignTransaction(t.Context(), call(), 1, "createApp(address)")
		refused(t, err, "does not match the configuration of the signer")
	})
	t.Run("another fee", func(t *testing.T) {
		s := startClef(t, person{func(_ string, tx map[string]any) bool {
			if tx != nil {
				tx["maxFeePerGas"] = hexutil.EncodeUint64(21)
			}
			return true
		}})
		w, err := s.Open(t.Context())
		must(t, err)
		_, err = w.SignTransaction(t.Context(), call(), 65535, "createApp(address)")
		refused(t, err, "fee 21, not 20")
	})
	t.Run("another account", func(t *testing.T) {
		s := startClef(t, person{func(method string, _ map[string]any) bool { return method != "list" }})
		_, err := s.Open(t.Context())
		if refused(t, err, ""); !strings.Contains(err.Error(), "lists") && !strings.Contains(err.Error(), "not to sign") {
			t.Errorf("got %v", err)
		}
	})
}
