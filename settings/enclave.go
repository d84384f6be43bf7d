package settings

import (
	"cmp"
	"path"
	"time"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
)

// Seals reports whether mrelease seals the image itself.
func (e Enclave) Seals() bool { return e.Seal != SealDockerfile }

// Protected are the folders that the seal protects: those that are set, else what
// the field protects.
func (e Enclave) Protected() []string {
	switch {
	case len(e.Regions) > 0:
		return e.Regions
	case e.Seal == buildkit.SealFSPF:
		return []string{"/usr", "/bin", "/lib", "/sbin", "/app"}
	}
	return []string{"/app"}
}

// BuildSeal is how the image is sealed, but for the key and the time.
func (e Enclave) BuildSeal() buildkit.Seal {
	return buildkit.Seal{
		Mode: string(e.Seal), Toolchain: e.Toolchain, Regions: e.Protected(),
		Program: buildkit.Program{
			Path: e.Program, Heap: uint64(cmp.Or(e.Heap, 1<<30)), Stack: uint64(e.Stack), Dlopen: int(e.Dlopen), Mprotect: e.Mprotect,
			ProductID: uint16(e.ProductID), SecurityVersion: uint16(e.SVN),
		},
	}
}

// Policy says which signatures of the enclave may be released.
func (e Enclave) Policy() (sgx.Policy, error) {
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

// checkSeal finds what is wrong with the keys of the seal.
func (c *Checker) checkSeal() {
	e := c.Settings.Enclave
	if _, err := e.Policy(); err != nil {
		c.Complain("enclave.signers", "%v", err)
	}
	for _, k := range []struct {
		key   string
		value uint64
		limit uint64
	}{{"dlopen", e.Dlopen, 2}, {"isvprodid", e.ProductID, 1<<16 - 1}, {"isvsvn", e.SVN, 1<<16 - 1}} {
		if k.value > k.limit {
			c.Complain("enclave."+k.key, "must be at most %d, got %d", k.limit, k.value)
		}
	}
	if !e.Seals() {
		return
	}
	if e.Toolchain == "" {
		c.missing("enclave.toolchain", "the image with the tools for sealing, with its digest")
	} else if err := buildkit.CheckToolchain(e.Toolchain); err != nil {
		c.Complain("enclave.toolchain", "%v", err)
	}
	for _, region := range e.Protected() {
		if err := buildkit.CheckRegion(region); err != nil {
			c.Complain("enclave.regions", "%v", err)
		}
	}
	if e.Seal == buildkit.SealBinaryFS && !path.IsAbs(e.Program) {
		c.missing("enclave.program", "the absolute path of the enclave's program in the image")
	}
}

// Spec is what to measure.
func (e Enclave) Spec() measure.Spec {
	spec := measure.Spec{Format: e.Format, Object: e.Object(), File: e.File, Timeout: time.Duration(e.Timeout)}
	switch e.Seal {
	case buildkit.SealFSPF:
		spec.File = buildkit.KeytagPath
	case buildkit.SealBinaryFS:
		spec.Program = e.Program
	}
	return spec
}

// Object returns the enclave object without its measurement.
func (e Enclave) Object() measure.Object {
	return measure.Object{Framework: e.Framework, Version: e.Version, Entrypoint: e.Entrypoint, HeapSize: uint64(e.Heap)}
}
