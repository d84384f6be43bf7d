// Package clients runs the programs that people use today in place of mrelease,
// for tests and comparisons: iExec's command line, which npm installs into this
// folder in several versions.
package clients

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Chain is a chain as a project's chain.json describes it.
type Chain struct {
	ID           uint64
	RPC, Hub     string
	Market, SMS  string // URLs
	Gateway      string // URL of IPFS; empty where no result is downloaded
	Native, Free bool   // RLC is the chain's coin; transactions cost nothing
}

// IExec is a version of iExec's command line, in a project's folder.
type IExec struct {
	Version int // 5, 8 or 9
	Dir     string
	script  string
}

// NewIExec finds a version below the folder node_modules.
func NewIExec(modules string, version int, dir string) (*IExec, error) {
	module, err := filepath.Abs(filepath.Join(modules, fmt.Sprintf("iexec-%d", version)))
	if err != nil {
		return nil, fmt.Errorf("finding iexec %d: %w", version, err)
	}
	var manifest struct{ Bin struct{ Iexec string } }
	if err := readJSON(filepath.Join(module, "package.json"), &manifest); err != nil {
		return nil, err
	}
	return &IExec{version, dir, filepath.Join(module, manifest.Bin.Iexec)}, nil
}

// Init makes the project's files, with one chain that is called local.
func (c *IExec) Init(ctx context.Context, chain Chain) error {
	if _, err := c.Call(ctx, "init", "--skip-wallet", "--force"); err != nil {
		return err
	}
	return writeJSON(filepath.Join(c.Dir, "chain.json"), map[string]any{"default": "local", "chains": map[string]any{"local": c.settings(chain)}})
}

// settings are those of a chain; a version refuses keys of another.
func (c *IExec) settings(chain Chain) map[string]any {
	all := map[string]any{
		"id": strconv.FormatUint(chain.ID, 10), "host": chain.RPC, "hub": chain.Hub,
		"iexecGateway": chain.Market, "sms": chain.SMS, "ipfsGateway": cmp.Or(chain.Gateway, chain.SMS),
	}
	maps.Copy(all, map[int]map[string]any{
		5: {"native": chain.Native, "resultProxy": chain.SMS},
		8: {"native": chain.Native, "useGas": !chain.Free, "resultProxy": chain.SMS, "sms": map[string]string{"scone": chain.SMS, "gramine": chain.SMS, "tdx": chain.SMS}},
		9: {"pocoSubgraph": chain.SMS},
	}[c.Version])
	return all
}

// Edit changes values of a part of the project's iexec.json.
func (c *IExec) Edit(values map[string]any, path ...string) error {
	file := filepath.Join(c.Dir, "iexec.json")
	var project map[string]any
	if err := readJSON(file, &project); err != nil {
		return err
	}
	part := project
	for _, key := range path {
		inner, ok := part[key].(map[string]any)
		if !ok {
			return fmt.Errorf("editing iexec.json: it has no %s", strings.Join(path, "."))
		}
		part = inner
	}
	maps.Copy(part, values)
	return writeJSON(file, project)
}

// Answer is what the command line prints with --raw.
type Answer map[string]any

// Error says that the command line failed, whatever its exit code.
type Error struct{ Command, Output string }

func (e *Error) Error() string { return fmt.Sprintf("%s:\n%s", e.Command, e.Output) }

// Command returns a command that is ready to be run; Parse reads what it prints.
func (c *IExec) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", append([]string{c.script}, append(args, "--raw")...)...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), "HOME="+c.Dir)
	return cmd
}

// Call runs a command. A failure is an [*Error]: one that is told on standard
// error, and one that is told in an answer while the exit code is 0.
func (c *IExec) Call(ctx context.Context, args ...string) (Answer, error) {
	cmd := c.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ended := cmd.Run()
	answer, ok := Parse(stdout.Bytes())
	if ended != nil || !ok {
		return nil, &Error{fmt.Sprintf("iexec %d %s", c.Version, strings.Join(args, " ")), fmt.Sprintf("%v\n%s%s", ended, &stdout, &stderr)}
	}
	return answer, nil
}

// Parse reads an answer and says whether it is one of success.
func Parse(stdout []byte) (Answer, bool) {
	var answer Answer
	if start := bytes.IndexByte(stdout, '{'); start >= 0 {
		if json.NewDecoder(bytes.NewReader(stdout[start:])).Decode(&answer) != nil {
			return nil, false
		}
	}
	return answer, answer["ok"] == true && answer["fail"] == nil
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(file), err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("parsing %s: %w", filepath.Base(file), err)
	}
	return nil
}

func writeJSON(file string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(file), err)
	}
	return nil
}
