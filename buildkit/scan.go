package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mrelease/mrelease/bounds"
)

// Scan says how to list what is in an image: by a scanner that speaks BuildKit's SBOM
// scanning protocol (docs/attestations/sbom-protocol.md of BuildKit), such as
// docker/buildkit-syft-scanner.
//
// BuildKit scans what a Dockerfile builds, while it builds it. Here the finished image is
// scanned: the one that is sealed, measured and signed, also where an earlier run pushed it;
// and nothing of the build changes with it.
type Scan struct {
	// Scanner is the image with the scanner, which its ENTRYPOINT and CMD start:
	// "docker-image://NAME@sha256:…" or "oci-layout:///FOLDER@sha256:…".
	Scanner string
	// Keychain holds the credentials for the scanner's registry; nil means none.
	Keychain authn.Keychain
	// NoCache scans anew even if the same image was scanned before.
	NoCache bool
}

// CheckScanner refuses a scanner without digest: another one lists other things.
func CheckScanner(ref string) error { return checkPinned("scanner", ref) }

// Material names the scanner.
func (s Scan) Material() Material { return pinnedMaterial("scanner", s.Scanner) }

// ScanError says that a scanner did not write what the protocol asks for.
type ScanError struct{ Scanner, Problem, Got string }

// Error implements error.
func (e *ScanError) Error() string { return "the scanner " + e.Problem }

// Evidence returns what it wrote.
func (e *ScanError) Evidence() [][2]string {
	return [][2]string{{"where", e.Scanner}, {"expected", "one file " + scanFile + " in the folder BUILDKIT_SCAN_DESTINATION, of " + bounds.Bytes(bounds.SBOM) + " at most"}, {"actual", e.Got}}
}

// Of the protocol: where a scanner finds the files of the image, whose name is that of the
// file that it writes, and where it writes.
const (
	scanName   = "sbom"
	scanSource = "/run/src/core/" + scanName
	scanOutput = "/run/out/"
	scanFile   = scanName + ".spdx.json"
)

// Names of the steps.
const (
	loadScanner = "load scanner"
	scanImage   = "scan image"
)

// Scan runs the scanner over an image's files, without network, and returns the file that it
// wrote, as it is. What it prints goes to log, which may be nil.
//
// A scanner that fails is a [*BuildError], one that cannot be had a [*ToolchainError], one
// that writes no file, several, or a large one a [*ScanError]; when ctx ends, the error is
// that of ctx.
func (b *Builder) Scan(ctx context.Context, image v1.Image, s Scan, log io.Writer) (written []byte, err error) {
	if err := CheckScanner(s.Scanner); err != nil {
		return nil, err
	}
	err = bounds.Within(ctx, bounds.Scan, "the scan of the image", func(ctx context.Context) error {
		written, err = b.scan(ctx, image, s, log)
		return err
	})
	return written, err
}

func (b *Builder) scan(ctx context.Context, image v1.Image, s Scan, log io.Writer) ([]byte, error) {
	scratch, err := os.MkdirTemp(b.scratch, "scan-*")
	if err != nil {
		return nil, fmt.Errorf("making work folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	opt, err := s.request(image, scratch)
	if err != nil {
		return nil, err
	}
	at := scanning{Scan: s, image: image}
	progress := b.progress
	if progress.Log { // the log is the build's
		progress.Writer = nil
	}
	_, err = b.solve(ctx, solving{scanImage, progress, newTranscript(log, nil)}, opt, at.build)
	if at.err != nil && ctx.Err() == nil {
		return nil, at.err
	}
	var failed *BuildError
	if errors.As(err, &failed) {
		if at.loading {
			failed.Step = loadScanner
		}
		if problem := failed.toolchainProblem(loadScanner); problem != "" {
			return nil, &ToolchainError{"scanner", "attest.sbom", s.Scanner, problem, failed}
		}
	}
	if err != nil {
		return nil, err
	}
	return at.written, nil
}

// request returns what the builder needs of its client.
func (s Scan) request(image v1.Image, dir string) (client.SolveOpt, error) {
	store, err := newLazyStore(path.Join(dir, imageStore+"-blobs"), imageBlobs(image))
	if err != nil {
		return client.SolveOpt{}, err
	}
	opt := client.SolveOpt{OCIStores: map[string]content.Store{imageStore: store}, Session: attachables(nil, s.Keychain)}
	return opt, addTools(&opt, s.Scanner, dir)
}

// scanning is a scan on its way.
type scanning struct {
	Scan
	image   v1.Image
	loading bool // the scanner's configuration, which is no step
	written []byte
	err     error // a [*ScanError]: the builder would pass its words on
}

// build is what the builder calls back.
func (s *scanning) build(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
	s.loading = true
	config, err := s.config(ctx, c)
	if err != nil {
		return nil, err
	}
	s.loading = false
	args := append(append([]string(nil), config.Entrypoint...), config.Cmd...)
	if len(args) == 0 {
		s.err = &ScanError{s.Scanner, "names no program", "neither ENTRYPOINT nor CMD"}
		return nil, s.err
	}
	target, err := mount(ctx, c, s.image, imageStore)
	if err != nil {
		return nil, err
	}
	root, err := target.ToState()
	if err != nil {
		return nil, fmt.Errorf("describing image: %w", err)
	}
	definition, err := s.steps(loadPinned(s.Scanner, c.BuildOpts().SessionID, loadScanner), root, config).Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return nil, fmt.Errorf("describing scan: %w", err)
	}
	result, err := c.Solve(ctx, gateway.SolveRequest{Definition: definition.ToPB(), Evaluate: true})
	if err != nil {
		return nil, err
	}
	made, err := result.SingleRef()
	if err != nil {
		return nil, err
	}
	s.written, err = s.read(ctx, made)
	return gateway.NewResult(), err
}

// config is the scanner's configuration, which the builder gets.
func (s *scanning) config(ctx context.Context, c gateway.Client) (ocispec.ImageConfig, error) {
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	ref, opt := strings.TrimPrefix(s.Scanner, schemeImage), sourceresolver.Opt{LogName: loadScanner}
	if strings.HasPrefix(s.Scanner, schemeLayout) {
		ref = layoutName(s.Scanner)
		opt.OCILayoutOpt = &sourceresolver.ResolveOCILayoutOpt{Platform: &platform, Store: sourceresolver.ResolveImageConfigOptStore{SessionID: c.BuildOpts().SessionID, StoreID: toolStore}}
	} else {
		opt.ImageOpt = &sourceresolver.ResolveImageOpt{Platform: &platform}
	}
	_, _, raw, err := sourceresolver.NewImageMetaResolver(c).ResolveImageConfig(ctx, ref, opt)
	if err != nil {
		return ocispec.ImageConfig{}, err
	}
	var image ocispec.Image
	if err := json.Unmarshal(raw, &image); err != nil {
		return ocispec.ImageConfig{}, fmt.Errorf("reading configuration of scanner: %w", err)
	}
	return image.Config, nil
}

// steps returns the folder that the scanner writes into. As in BuildKit's own scans it is
// root, whatever its image says: the folder is root's.
func (s *scanning) steps(scanner, target llb.State, config ocispec.ImageConfig) llb.State {
	options := []llb.RunOption{
		llb.Args(append(append([]string(nil), config.Entrypoint...), config.Cmd...)), llb.Dir(config.WorkingDir),
		llb.Network(pb.NetMode_NONE), llb.WithCustomName(scanImage),
		llb.AddMount("/tmp", llb.Scratch(), llb.Tmpfs()), llb.AddMount(scanSource, target, llb.Readonly),
	}
	for _, variable := range append(append([]string(nil), config.Env...), "BUILDKIT_SCAN_SOURCE="+scanSource, "BUILDKIT_SCAN_DESTINATION="+scanOutput) {
		name, value, _ := strings.Cut(variable, "=")
		options = append(options, llb.AddEnv(name, value))
	}
	if s.NoCache {
		options = append(options, llb.IgnoreCache)
	}
	return scanner.Run(options...).AddMount(scanOutput, llb.Scratch())
}

// read returns the one file in a folder. What of it cannot be the document is a [*ScanError].
func (s *scanning) read(ctx context.Context, folder gateway.Reference) ([]byte, error) {
	wrong := func(problem, got string) error {
		s.err = &ScanError{s.Scanner, problem, got}
		return s.err
	}
	there, err := folder.ReadDir(ctx, gateway.ReadDirRequest{Path: "/"})
	if err != nil {
		return nil, fmt.Errorf("listing what the scanner wrote: %w", err)
	}
	switch {
	case len(there) == 0:
		return nil, wrong("wrote no file", "none")
	case len(there) > 1:
		return nil, wrong("wrote several files", fmt.Sprintf("%d: %.200q and %.200q among them", len(there), there[0].Path, there[1].Path))
	case there[0].Path != scanFile || fs.FileMode(there[0].Mode)&fs.ModeType != 0:
		return nil, wrong("wrote something else", fmt.Sprintf("%.200q of mode %v", there[0].Path, fs.FileMode(there[0].Mode)))
	case there[0].Size > bounds.SBOM:
		return nil, wrong("wrote a file that is too large", fmt.Sprintf("%d bytes", there[0].Size))
	}
	written, err := folder.ReadFile(ctx, gateway.ReadRequest{Filename: scanFile, Range: &gateway.FileRange{Length: bounds.SBOM}})
	if err != nil {
		return nil, fmt.Errorf("reading what the scanner wrote: %w", err)
	}
	return written, nil
}
