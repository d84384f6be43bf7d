package source

import (
	"fmt"
	"maps"
	"strings"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
)

// Build is what the settings alone say of the build.
func Build(s settings.Settings) buildkit.Source {
	return buildkit.Source{
		Context:    string(s.Build.Context),
		Dockerfile: s.DockerfilePath(),
		Target:     s.Build.Target,
		Args:       s.Build.Args,
		Contexts:   s.Build.Contexts,
		Bases:      bases(s.Build.Bases),
		Network:    string(s.Build.Network),

		Compression:  string(s.Build.Compression),
		MaterialsKey: registry.MaterialsAnnotation,
	}
}

func bases(pins map[string]settings.Pin) map[string]string {
	digests := map[string]string{}
	for ref, digest := range pins {
		digests[ref] = string(digest)
	}
	return digests
}

// purpose is what the inputs digest covers besides the build itself.
func purpose(s settings.Settings, version string) map[string]string {
	e := s.Enclave
	p := map[string]string{"version": version, "enclave.format": string(e.Format), "enclave.fingerprint-file": e.File}
	if e.Format == measure.JSON {
		p["enclave.object"] = e.Object().String()
	}
	maps.Copy(p, sealPurpose(e))
	return p
}

// sealPurpose is what the inputs digest covers of the seal.
func sealPurpose(e settings.Enclave) map[string]string {
	if !e.Seals() {
		return nil
	}
	s := e.BuildSeal()
	tools := s.Material()
	purpose := map[string]string{"seal.mode": s.Mode, "seal.toolchain": tools.URI + "@" + tools.Digest.String(), "seal.regions": strings.Join(s.Regions, ",")}
	if e.Seal == buildkit.SealBinaryFS {
		p := s.Program
		purpose["seal.program"] = fmt.Sprintf("%s heap %d stack %d dlopen %d mprotect %t isvprodid %d isvsvn %d production %t",
			p.Path, p.Heap, p.Stack, p.Dlopen, p.Mprotect, p.ProductID, p.SecurityVersion, e.Key != "")
	}
	return purpose
}
