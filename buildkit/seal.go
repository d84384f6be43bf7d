package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// Ways to seal an image with SCONE's tools.
const (
	// SealFSPF makes a file-system protection file as SCONE did since 2019: KEY
	// and TAG, random at each seal, bind the files of the regions.
	SealFSPF = "fspf"
	// SealBinaryFS puts the files of the regions into a library that the enclave
	// measures, and signs the program, as SCONE does since version 5.
	SealBinaryFS = "binary-fs"
)

// Where a sealed image has what the seal made, beside the signed program.
const (
	// KeytagPath is the line that SealFSPF printed: "Encrypted file system
	// protection file … AES-GCM tag: … key: …". The protection file itself is
	// /fspf.pb.
	KeytagPath = "/conf/keytag"
	// LibraryPath is the library of SealBinaryFS. It lies in the root, since
	// /lib is a link in many images and a layer must not go through one.
	LibraryPath = "/libbinary-fs.so"
)

// Seal says how to seal an image.
type Seal struct {
	// Mode is SealFSPF or SealBinaryFS.
	Mode string
	// Toolchain is the image with SCONE's tools: "docker-image://NAME@sha256:…"
	// or "oci-layout:///FOLDER@sha256:…".
	Toolchain string
	// Regions are the folders whose files are protected.
	Regions []string
	// Epoch is the time of the seal's files; zero means FixedEpoch.
	Epoch time.Time
	// Created is when the image was made, as its history says.
	Created time.Time
	// Program is the enclave's program, with SealBinaryFS.
	Program Program
	// Annotations go to the sealed image's manifest.
	Annotations map[string]string
	// Keychain holds the credentials for the toolchain's registry; nil means
	// none.
	Keychain authn.Keychain
	// NoCache seals anew even if the same files were sealed before.
	NoCache bool
}

// Validate reports everything that is wrong with the seal, joined into one
// error.
func (s Seal) Validate() error {
	var problems []error
	if s.Mode != SealFSPF && s.Mode != SealBinaryFS {
		problems = append(problems, fmt.Errorf("checking seal %q: want %s or %s", s.Mode, SealFSPF, SealBinaryFS))
	}
	problems = append(problems, CheckToolchain(s.Toolchain))
	for _, region := range s.Regions {
		problems = append(problems, CheckRegion(region))
	}
	if len(s.Regions) == 0 {
		problems = append(problems, errors.New("checking seal: no regions"))
	}
	if s.Mode == SealBinaryFS {
		problems = append(problems, s.Program.validate())
	}
	return errors.Join(problems...)
}

// CheckToolchain refuses a toolchain without digest: the tools decide what is
// sealed.
func CheckToolchain(ref string) error { return checkPinned("toolchain", ref) }

// checkPinned refuses an image without digest whose programs are run.
func checkPinned(what, ref string) error {
	if _, _, err := parseLayout(ref); strings.HasPrefix(ref, schemeLayout) {
		return err
	}
	if !strings.HasPrefix(ref, schemeImage) || !strings.Contains(ref, "@sha256:") {
		return fmt.Errorf("checking %s %q: want %sNAME@sha256:… or %s/FOLDER@sha256:…", what, ref, schemeImage, schemeLayout)
	}
	return checkContext(what, ref)
}

// Material returns the toolchain as what the sealed image was made with.
func (s Seal) Material() Material { return pinnedMaterial("toolchain", s.Toolchain) }

// pinnedMaterial returns an image that was checked by checkPinned as what was made with it.
func pinnedMaterial(what, ref string) Material {
	if _, d, err := parseLayout(ref); err == nil {
		return Material{what, d} // the folder is this machine's own affair
	}
	uri, d, _ := strings.Cut(ref, "@")
	return Material{uri, digest.Digest(d)}
}

// CheckRegion refuses a folder that cannot be protected.
func CheckRegion(region string) error {
	switch {
	case !path.IsAbs(region) || path.Clean(region) != region:
		return fmt.Errorf("checking region %q: want an absolute path without a slash at its end", region)
	case region == "/etc":
		return errors.New(`checking region "/etc": hosts, hostname and resolv.conf in it are other files in each container, and would not match; protect a folder of it, such as /etc/ssl`)
	case region == "/":
		return errors.New(`checking region "/": it holds /etc, /proc, /sys and /dev, which differ in each container`)
	}
	return nil
}

// Seal seals an image: it runs SCONE's tools over the image's files, appends a
// layer with what they made, writes the result to dir as an OCI layout, as Build
// does, and opens it from there. What the tools print goes to log.
//
// A step that fails is a [*BuildError]; when ctx ends, the error is that of ctx.
func (b *Builder) Seal(ctx context.Context, image v1.Image, s Seal, dir string, log io.Writer) (v1.Image, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	partial, remove, err := makePartial(dir)
	if err != nil {
		return nil, err
	}
	defer remove()
	opt, err := s.request(image, partial)
	if err != nil {
		return nil, err
	}
	progress, shown := b.progress.to(dir)
	err = b.runSeal(ctx, image, s, opt, solving{"seal " + s.Mode, progress, newTranscript(log, s.Program.secrets())})
	var failed *BuildError
	if errors.As(err, &failed) {
		failed.Log = shown.name()
	}
	if err := cmp.Or(err, shown.Close()); err != nil {
		return nil, err
	}
	if err := s.writeSealed(image, partial); err != nil {
		return nil, err
	}
	if err := install(filepath.Join(partial, "image"), dir); err != nil {
		return nil, err
	}
	return openLayout(dir)
}

func (b *Builder) runSeal(ctx context.Context, image v1.Image, s Seal, opt client.SolveOpt, told solving) error {
	made, err := s.steps(image)
	if err != nil {
		return err
	}
	definition, err := made.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return fmt.Errorf("describing seal: %w", err)
	}
	err = follow(ctx, told.progress, told.transcript, func(status chan *client.SolveStatus) error {
		_, err := b.client.Solve(ctx, definition, opt, status)
		return err
	})
	if ctx.Err() != nil {
		return fmt.Errorf("sealing image: %w", ctx.Err())
	}
	if err != nil {
		return s.explain(told.transcript.explain(err, told.dockerfile))
	}
	return nil
}

// toolStore is the name under which the builder asks for the toolchain.
const toolStore = "toolchain"

// request returns what the builder needs of its client. The seal's files, laid
// out as in the image, go to dir/files.
func (s Seal) request(image v1.Image, dir string) (client.SolveOpt, error) {
	store, err := newLazyStore(filepath.Join(dir, imageStore+"-blobs"), imageBlobs(image))
	if err != nil {
		return client.SolveOpt{}, err
	}
	opt := client.SolveOpt{
		Exports:   []client.ExportEntry{{Type: client.ExporterLocal, OutputDir: filepath.Join(dir, "files")}},
		OCIStores: map[string]content.Store{imageStore: store},
	}
	opt.Session = attachables(s.Program.secrets(), s.Keychain)
	return opt, addTools(&opt, s.Toolchain, dir)
}

// addTools gives the builder the layout with an image whose programs are run, if it is one.
// Scratch space is in dir.
func addTools(opt *client.SolveOpt, ref, dir string) error {
	if !strings.HasPrefix(ref, schemeLayout) {
		return nil
	}
	folder, _, err := parseLayout(ref)
	if err != nil {
		return err
	}
	opt.OCIStores[toolStore], err = newLazyStore(filepath.Join(dir, toolStore+"-blobs"), layoutBlobs(folder))
	return err
}

// steps returns the folder that SCONE's tools fill with the seal's files.
func (s Seal) steps(image v1.Image) (llb.State, error) {
	digest, err := image.Digest()
	if err != nil {
		return llb.State{}, fmt.Errorf("hashing manifest: %w", err)
	}
	target := llb.OCILayout("local/image@"+digest.String(), llb.OCIStore("", imageStore), llb.WithCustomName("load image to seal"))
	tools := s.tools()
	if s.Mode == SealFSPF {
		return s.protect(tools, target), nil
	}
	return s.embed(tools, target), nil
}

func (s Seal) tools() llb.State {
	tools := loadPinned(s.Toolchain, "", loadToolchain)
	// The tools need no device in this mode, and a container under construction
	// has none.
	return tools.AddEnv("PATH", "/opt/scone/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").AddEnv("SCONE_MODE", "auto")
}

// loadPinned is an image that was checked by checkPinned, for a session of the builder; load
// is the name of the step.
func loadPinned(ref, session, load string) llb.State {
	if image, ok := strings.CutPrefix(ref, schemeImage); ok {
		return llb.Image(image, llb.WithCustomName(load))
	}
	return llb.OCILayout(layoutName(ref), llb.OCIStore(session, toolStore), llb.WithCustomName(load))
}

// layoutName is a name that the builder takes for the image in a layout.
func layoutName(ref string) string {
	_, digest, _ := parseLayout(ref) // which was checked
	return "local/toolchain@" + digest.String()
}

// run is a step of the seal: a program of the toolchain, without network.
func (s Seal) run(name string, args []string, more ...llb.RunOption) []llb.RunOption {
	options := append(more, llb.Args(args), llb.Network(pb.NetMode_NONE), llb.WithCustomName("seal: "+name))
	if s.NoCache {
		options = append(options, llb.IgnoreCache)
	}
	return options
}

// protectScript runs the steps that iExec's builds of 2019 run (sgx-apps), over
// the image at /target. Its arguments are the regions.
const protectScript = `set -eu
mkdir /seal/conf
scone fspf create /seal/fspf.pb
scone fspf addr /seal/fspf.pb / --not-protected --kernel /
for region in "$@"; do
  [ -d "/target$region" ] || { echo "region $region is no folder of the image" >&2; exit 2; }
  scone fspf addr /seal/fspf.pb "$region" --authenticated --kernel "$region"
  scone fspf addf /seal/fspf.pb "$region" "/target$region"
done
scone fspf encrypt /seal/fspf.pb > /seal/conf/keytag
`

func (s Seal) protect(tools, target llb.State) llb.State {
	args := append([]string{"/bin/sh", "-c", protectScript, "seal"}, s.Regions...)
	return tools.Run(s.run("protect the regions", args, llb.AddMount("/target", target, llb.Readonly))...).AddMount("/seal", llb.Scratch())
}
