package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/sandbox/clients"
)

const walletPassword = "bench-wallet"

// script is a release as it is done today: buildctl builds and pushes, the
// image is run for its measurement, cosign signs, and iExec's command line
// deploys the app, signs the order and publishes it. What has to be written into
// iexec.json in between takes no time here.
type script struct {
	b      *bench
	iexec  *clients.IExec
	wallet string // file
	daemon *daemon

	names []string // of the parts
	parts map[string][]cost
}

// newScript sets up a project of iExec's command line. That is done once: what its
// init commands write is committed, and is no part of a release.
func (b *bench) newScript(ctx context.Context) (*script, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("iexec-%d", b.next()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making project: %w", err)
	}
	iexec, err := clients.NewIExec(b.path(modules), 8, dir)
	if err != nil {
		return nil, err
	}
	s := &script{b: b, iexec: iexec}
	if err := s.initProject(ctx); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "UTC--*"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("finding the wallet among %d files: %w", len(files), err)
	}
	s.wallet = files[0]
	return s, nil
}

// Without these two files cosign would ask the public instance for its own.
var nowhere = map[string]string{
	"root.json":    `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`,
	"signing.json": `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`,
}

func (s *script) initProject(ctx context.Context) error {
	for file, text := range nowhere {
		if err := os.WriteFile(filepath.Join(s.iexec.Dir, file), []byte(text), 0o644); err != nil {
			return fmt.Errorf("making project: %w", err)
		}
	}
	chain, err := worldChain("sandbox-v5")
	if err != nil {
		return err
	}
	err = s.iexec.Init(ctx, clients.Chain{
		ID: 134, RPC: chain["rpc"], Hub: chain["hub"], Market: chain["market"], SMS: os.Getenv("SANDBOX_SECRETS"), Native: true, Free: true,
	})
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"wallet", "create"}, {"app", "init", "--tee-framework", "scone"}, {"order", "init", "--app", "--chain", "local"}} {
		if _, err := s.iexec.Call(ctx, append(args, unlocked()...)...); err != nil {
			return err
		}
	}
	return nil
}

// unlocked are the options of iExec's commands that use the wallet.
func unlocked() []string { return []string{"--keystoredir", "local", "--password", walletPassword} }

// product is what the script makes of a project, step by step.
type product struct {
	project
	image, digest, mrenclave string
}

// release runs the script for a new project and pushes to a repository.
func (s *script) release(ctx context.Context, repository string) (total cost, err error) {
	p := product{}
	if p.project, err = s.b.newProject(); err != nil {
		return total, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	p.image = os.Getenv("SANDBOX_REGISTRY") + "/" + repository + ":" + p.version
	for _, step := range []func(context.Context, *product) (cost, error){s.build, s.measure, s.sign, s.deploy, s.signOrder, s.publish} {
		c, err := step(ctx, &p)
		if err != nil {
			return total, err
		}
		total = total.and(c)
	}
	return total, nil
}

// do runs one part.
func (s *script) do(name string, cmd *exec.Cmd) ([]byte, cost, error) {
	out, c, err := timed(cmd)
	if err != nil {
		return nil, cost{}, fmt.Errorf("%s: %w", name, err)
	}
	if s.parts == nil {
		s.parts, s.names = map[string][]cost{}, nil
	}
	if s.parts[name] == nil {
		s.names = append(s.names, name)
	}
	s.parts[name] = append(s.parts[name], c)
	return out, c, nil
}

func (s *script) summary() []part {
	var list []part
	for _, name := range s.names {
		list = append(list, part{name, times(s.parts[name]).Median})
	}
	return list
}

func (s *script) build(ctx context.Context, p *product) (cost, error) {
	metadata := filepath.Join(s.iexec.Dir, "metadata.json")
	cmd, err := s.b.buildctl(ctx, s.daemon.address, p.dir, "type=image,name="+p.image+",push=true,rewrite-timestamp=true", "--metadata-file", metadata)
	if err != nil {
		return cost{}, err
	}
	_, c, err := s.do("buildctl build and push", cmd)
	if err != nil {
		return c, err
	}
	var built struct {
		Digest string `json:"containerimage.digest"`
	}
	data, err := os.ReadFile(metadata)
	if err == nil {
		err = json.Unmarshal(data, &built)
	}
	p.digest = built.Digest
	return c, err
}

// measure runs the image in the daemon, which has its layers already: quicker
// than a container engine that would have to pull it.
func (s *script) measure(ctx context.Context, p *product) (cost, error) {
	dir := filepath.Join(p.dir, "measure")
	text := "FROM " + p.image + "@" + p.digest + " AS image\nRUN SCONE_HASH=1 python3 > /mrenclave\nFROM scratch\nCOPY --from=image /mrenclave /\n"
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644)); err != nil {
		return cost{}, fmt.Errorf("preparing measurement: %w", err)
	}
	cmd, err := s.b.buildctl(ctx, s.daemon.address, dir, "type=local,dest="+dir, "--no-cache")
	if err != nil {
		return cost{}, err
	}
	_, c, err := s.do("run of the image for its hash", cmd)
	if err != nil {
		return c, err
	}
	value, err := os.ReadFile(filepath.Join(dir, "mrenclave"))
	p.mrenclave = strings.TrimSpace(string(value))
	return c, err
}

func (s *script) sign(ctx context.Context, p *product) (cost, error) {
	cmd := exec.CommandContext(ctx, s.b.path("bin/cosign"), "sign", "--yes", "--key", filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "cosign.key"),
		"--new-bundle-format", "--signing-config", "signing.json", "--trusted-root", "root.json", p.image+"@"+p.digest)
	cmd.Dir = s.iexec.Dir
	_, c, err := s.do("cosign sign", cmd)
	return c, err
}

func (s *script) deploy(ctx context.Context, p *product) (cost, error) {
	err := s.iexec.Edit(map[string]any{
		"name": p.name, "type": "DOCKER", "multiaddr": p.image, "checksum": "0x" + strings.TrimPrefix(p.digest, "sha256:"),
		"mrenclave": map[string]any{"framework": "SCONE", "version": "v5.9", "entrypoint": "python3 /app/app.py", "heapSize": 1 << 30, "fingerprint": p.mrenclave},
	}, "app")
	if err != nil {
		return cost{}, err
	}
	answer, c, err := s.call(ctx, "app", "deploy")
	if err != nil {
		return c, err
	}
	return c, s.iexec.Edit(map[string]any{"app": answer["address"], "appprice": "0", "volume": "1000000", "tag": []string{"tee", "scone"}}, "order", "apporder")
}

func (s *script) signOrder(ctx context.Context, _ *product) (cost, error) {
	_, c, err := s.call(ctx, "order", "sign", "--app")
	return c, err
}

func (s *script) publish(ctx context.Context, _ *product) (cost, error) {
	_, c, err := s.call(ctx, "order", "publish", "--app", "--force")
	return c, err
}

// call runs a command of iExec's command line.
func (s *script) call(ctx context.Context, args ...string) (clients.Answer, cost, error) {
	name := "iexec " + args[0] + " " + args[1]
	out, c, err := s.do(name, s.iexec.Command(ctx, append(append(args, "--chain", "local"), unlocked()...)...))
	if err != nil {
		return nil, c, err
	}
	answer, ok := clients.Parse(out)
	if !ok {
		return nil, c, fmt.Errorf("%s: %s", name, out)
	}
	return answer, c, nil
}
