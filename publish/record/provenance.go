package record

import (
	"encoding/json"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/publish/registry"
)

// ProvenanceType is the predicate type of SLSA's provenance.
const ProvenanceType = registry.ProvenanceType

// BuildType says how to read the provenance of a release:
//
//   - externalParameters are what the release was asked for: version, and epoch
//     in seconds since 1970; inputs, the digest of all that is known before the
//     build (see buildkit.Source.Digest), which covers both; and dirty, when it was
//     asked for that the image be made from something else than a commit, with the
//     commit that was changed, if there was one, as base; and cache, the repository of
//     steps that others may have built and that the build could take.
//   - resolvedDependencies are the commit, named "source" and left out when the
//     source was dirty; then what the
//     build took from elsewhere: base images, toolchains, downloads, commits.
//   - byproducts are the config of the image before mrelease sealed it, named
//     "unsealed", when it did.
//
// There is nothing of the run in it, so every run of a release says the same.
const BuildType = "https://github.com/mrelease/mrelease/buildtypes/release/v1"

// builderID names the program, not the machine: who vouches for the machine is
// the key's owner.
const builderID = "https://github.com/mrelease/mrelease"

// The names of a provenance's parts that have no URI.
const (
	sourceName   = "source"
	unsealedName = "unsealed"
)

// provenance is SLSA's predicate, as far as it is used.
type provenance struct {
	BuildDefinition struct {
		BuildType            string     `json:"buildType"`
		ExternalParameters   parameters `json:"externalParameters"`
		ResolvedDependencies []resource `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder    builder    `json:"builder"`
		Byproducts []resource `json:"byproducts,omitempty"`
	} `json:"runDetails"`
}

type parameters struct {
	Version string  `json:"version"`
	Epoch   int64   `json:"epoch"`
	Inputs  v1.Hash `json:"inputs"`
	Dirty   bool    `json:"dirty,omitempty"`
	Base    string  `json:"base,omitempty"` // the commit that was changed
	Cache   string  `json:"cache,omitempty"`
}

type builder struct {
	ID string `json:"id"`
}

// resource is in-toto's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

// Provenance is what the image's key attests of a release: what the image was
// made from, in SLSA's words. See [BuildType].
func (s Source) Provenance(version string) registry.Attestation {
	var p provenance
	p.BuildDefinition.BuildType = BuildType
	p.BuildDefinition.ExternalParameters = parameters{Version: version, Epoch: s.Epoch, Inputs: s.Inputs, Dirty: s.Dirty, Cache: s.Cache}
	if s.Dirty {
		p.BuildDefinition.ExternalParameters.Base = s.Commit
	}
	p.BuildDefinition.ResolvedDependencies = s.dependencies()
	p.RunDetails.Builder.ID = builderID
	if s.Unsealed != nil {
		p.RunDetails.Byproducts = []resource{{Name: unsealedName, Digest: digestSet(*s.Unsealed)}}
	}
	return registry.Attestation{Type: ProvenanceType, Predicate: p}
}

func (s Source) dependencies() []resource {
	var all []resource
	if s.Commit != "" && !s.Dirty {
		all = append(all, resource{Name: sourceName, Digest: map[string]string{"gitCommit": s.Commit}})
	}
	for _, m := range s.Materials {
		all = append(all, resource{URI: m.URI, Digest: digestSet(m.Digest.Hash)})
	}
	return all
}

func digestSet(h v1.Hash) map[string]string { return map[string]string{h.Algorithm: h.Hex} }

// KeepCommit takes the commit, whether the source was dirty, and the cache, from what the
// key attested before, if that is of the same inputs: several commits can have them, and
// the first run to attest one has decided. The image's key is the caller's own, so its
// provenance is trusted; one of another build type is somebody else's affair.
func (s *Source) KeepCommit(attested []json.RawMessage) {
	type state struct {
		commit string
		dirty  bool
		cache  string
	}
	var states []state
	for _, predicate := range attested {
		var p provenance
		d := &p.BuildDefinition
		if json.Unmarshal(predicate, &p) == nil && d.BuildType == BuildType && d.ExternalParameters.Inputs == s.Inputs {
			states = append(states, state{p.commit(), d.ExternalParameters.Dirty, d.ExternalParameters.Cache})
		}
	}
	if len(states) > 0 && !slices.Contains(states, state{s.Commit, s.Dirty, s.Cache}) {
		s.Commit, s.Dirty, s.Cache = states[0].commit, states[0].dirty, states[0].cache
	}
}

func (p provenance) commit() string {
	if p.BuildDefinition.ExternalParameters.Dirty {
		return p.BuildDefinition.ExternalParameters.Base
	}
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if r.Name == sourceName {
			return r.Digest["gitCommit"]
		}
	}
	return ""
}
