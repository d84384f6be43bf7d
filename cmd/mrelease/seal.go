package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/publish/registry"
)

// seals reports whether mrelease seals the image itself.
func (e enclaveConfig) seals() bool { return e.Seal != sealDockerfile }

// regions are those of the configuration, else what the field protects.
func (e enclaveConfig) regions() []string {
	switch {
	case len(e.Regions) > 0:
		return e.Regions
	case e.Seal == buildkit.SealFSPF:
		return []string{"/usr", "/bin", "/lib", "/sbin", "/app"}
	}
	return []string{"/app"}
}

// seal is how the image is sealed, but for the key and the time.
func (e enclaveConfig) seal() buildkit.Seal {
	return buildkit.Seal{
		Mode: string(e.Seal), Toolchain: e.Toolchain, Regions: e.regions(),
		Program: buildkit.Program{
			Path: e.Program, Heap: uint64(or(e.Heap, 1<<30)), Stack: uint64(e.Stack), Dlopen: int(e.Dlopen), Mprotect: e.Mprotect,
			ProductID: uint16(e.ProductID), SecurityVersion: uint16(e.SVN),
		},
	}
}

// policy says which signatures of the enclave may be released.
func (e enclaveConfig) policy() (sgx.Policy, error) {
	p := sgx.Policy{AllowDebug: e.AllowDebug}
	for _, text := range e.Signers {
		var signer sgx.MRSIGNER
		if err := signer.UnmarshalText([]byte(text)); err != nil {
			return p, err
		}
		p.Signers = append(p.Signers, signer)
	}
	return p, nil
}

// sealPurpose is what the inputs digest covers of the seal.
func (e enclaveConfig) sealPurpose() map[string]string {
	if !e.seals() {
		return nil
	}
	s := e.seal()
	tools := s.Material()
	purpose := map[string]string{"seal.mode": s.Mode, "seal.toolchain": tools.URI + "@" + tools.Digest.String(), "seal.regions": strings.Join(s.Regions, ",")}
	if e.Seal == buildkit.SealBinaryFS {
		p := s.Program
		purpose["seal.program"] = fmt.Sprintf("%s heap %d stack %d dlopen %d mprotect %t isvprodid %d isvsvn %d production %t",
			p.Path, p.Heap, p.Stack, p.Dlopen, p.Mprotect, p.ProductID, p.SecurityVersion, e.Key != "")
	}
	return purpose
}

// checkSeal finds what is wrong with the keys of the seal.
func (c *checker) checkSeal() {
	e := c.cfg.Enclave
	if _, err := e.policy(); err != nil {
		c.complain("enclave.signers", "%v", err)
	}
	for _, k := range []struct {
		key   string
		value uint64
		limit uint64
	}{{"dlopen", e.Dlopen, 2}, {"isvprodid", e.ProductID, 1<<16 - 1}, {"isvsvn", e.SVN, 1<<16 - 1}} {
		if k.value > k.limit {
			c.complain("enclave."+k.key, "must be at most %d, got %d", k.limit, k.value)
		}
	}
	if !e.seals() {
		return
	}
	if e.Toolchain == "" {
		c.missing("enclave.toolchain", "the image with the tools for sealing, with its digest")
	} else if err := buildkit.CheckToolchain(e.Toolchain); err != nil {
		c.complain("enclave.toolchain", "%v", err)
	}
	for _, region := range e.regions() {
		if err := buildkit.CheckRegion(region); err != nil {
			c.complain("enclave.regions", "%v", err)
		}
	}
	if e.Seal == buildkit.SealBinaryFS && !path.IsAbs(e.Program) {
		c.missing("enclave.program", "the absolute path of the enclave's program in the image")
	}
}

// enclaveKey reads the production key and makes sure that the toolchain can sign
// with it.
func (a *app) enclaveKey(where string) ([]byte, error) {
	if where == "" {
		return nil, nil
	}
	var pem []byte
	if variable, ok := strings.CutPrefix(where, "env://"); ok {
		pem = []byte(a.secret(variable))
	} else {
		var err error
		if pem, err = os.ReadFile(where); err != nil {
			return nil, &keyError{where, err}
		}
	}
	if _, err := sgx.LoadKey(pem); err != nil {
		return nil, fmt.Errorf("reading enclave key %s: %w", where, err)
	}
	return pem, nil
}

// made is an image with what is known of how it was made.
type made struct {
	Image     v1.Image
	Unsealed  v1.Image // the same when mrelease does not seal
	Materials []buildkit.Material
	Log       []byte // what the steps printed
}

// makeImage builds the source into the layout dir, and seals it when that is
// asked for; the unsealed image is then in a layout beside it.
func (a *app) makeImage(ctx context.Context, b *buildkit.Builder, src source, cfg config, dir string) (made, error) {
	if !cfg.Enclave.seals() {
		built, log, err := a.buildImage(ctx, b, src, dir)
		return made{built.Image, built.Image, built.Materials, log}, err
	}
	seal := cfg.Enclave.seal()
	var err error
	if seal.Program.Key, err = a.enclaveKey(string(cfg.Enclave.Key)); err != nil {
		return made{}, err
	}
	built, log, err := a.buildImage(ctx, b, src, filepath.Join(filepath.Dir(dir), "unsealed"))
	if err != nil {
		return made{}, err
	}
	m := made{Unsealed: built.Image, Materials: append(built.Materials, seal.Material()), Log: log}
	seal.Epoch, seal.Created, seal.NoCache, seal.Keychain = src.Epoch, src.Created, src.NoCache, src.Keychain
	return m, a.sealImage(ctx, b, seal, &m, dir)
}

// sealImage adds the sealed image to what was made.
func (a *app) sealImage(ctx context.Context, b *buildkit.Builder, seal buildkit.Seal, m *made, dir string) error {
	return a.story.step("seal", func() (string, error) {
		config, err := m.Unsealed.ConfigName()
		if err != nil {
			return "", fmt.Errorf("reading config digest: %w", err)
		}
		materials, err := buildkit.FormatMaterials(m.Materials)
		if err != nil {
			return "", err
		}
		seal.Annotations = map[string]string{registry.UnsealedAnnotation: config.String(), registry.MaterialsAnnotation: materials}
		var printed bytes.Buffer
		if m.Image, err = b.Seal(ctx, m.Unsealed, seal, dir, &printed); err != nil {
			return "", err
		}
		m.Log = append(m.Log, printed.Bytes()...)
		digest, err := m.Image.Digest()
		return fmt.Sprintf("%s, %s", digest, seal.Mode), err
	})
}

// merge joins maps of different keys.
func merge(into, from map[string]string) map[string]string {
	maps.Copy(into, from)
	return into
}
