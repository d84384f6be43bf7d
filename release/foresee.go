package release

import (
	"maps"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
)

// foreseeDrift compares with the lock what can be seen of the image before it is built:
// the settings of configuration and Dockerfile, pinned bases and the toolchain; of an
// image that is there, what it states. Its error is a [*lock.DriftError].
func (r *run) foreseeDrift() error {
	e := r.Settings.Enclave
	seen := lock.Lock{Settings: measure.Settings(r.Source.Environment()), Bases: r.Source.PinnedBases()}
	maps.Copy(seen.Settings, lockSettings(e))
	if e.Seals() {
		m := e.BuildSeal().Material()
		seen.Toolchains = lock.Toolchains(map[string]string{m.URI: m.Digest.String()})
	}
	if r.enclave.known && r.enclave.Format != measure.None {
		seen.MRENCLAVE = &r.enclave.MRENCLAVE
	}
	if changes := lock.Foresee(*r.accepted, seen); len(changes) > 0 {
		return &lock.DriftError{File: r.Lock, Changes: changes}
	}
	return nil
}
