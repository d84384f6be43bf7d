package buildkit

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
)

// request is the build of a source as BuildKit's client wants it. The image's
// blobs go to a store; dir is scratch space. BuildKit takes its options as text,
// and this file is the only one that spells them.
func (s Source) request(in inputs, dir string, image content.Store) (client.SolveOpt, error) {
	attrs, err := s.frontendAttrs()
	if err != nil {
		return client.SolveOpt{}, err
	}
	folder, err := in.marks.folder(s)
	if err != nil {
		return client.SolveOpt{}, err
	}
	opt := client.SolveOpt{
		FrontendAttrs: attrs,
		LocalMounts:   map[string]fsutil.FS{"context": in.sent(in.context), "dockerfile": in.sent(in.frontend)},
		OCIStores:     map[string]content.Store{},
		Exports:       []client.ExportEntry{{Type: client.ExporterOCI, Attrs: s.exporterAttrs(), OutputStore: image}},
		Session:       attachables(s.Secrets, s.Keychain),
		SharedKey:     folder,
		ProxyNetwork:  s.Network == NetworkRecorded,
	}
	for i, name := range slices.Sorted(maps.Keys(in.contexts)) {
		if err := in.addContext(&opt, name, filepath.Join(dir, "context"+strconv.Itoa(i))); err != nil {
			return client.SolveOpt{}, err
		}
	}
	return opt, nil
}

func (s Source) frontendAttrs() (map[string]string, error) {
	attrs := map[string]string{
		"platform": platform,
		"filename": filepath.Base(s.path()),
		// Any value keeps a "# syntax=" line from fetching another frontend.
		"cmdline":               "builtin",
		"build-arg:" + epochArg: strconv.FormatInt(s.epoch().Unix(), 10),
		provenanceAttr:          provenanceRequest,
	}
	if s.Target != "" {
		attrs["target"] = s.Target
	}
	if s.NoCache {
		attrs["no-cache"] = ""
	}
	if s.Network == NetworkNone {
		attrs["force-network-mode"] = s.Network
	}
	for key, value := range s.Args {
		attrs["build-arg:"+key] = value
	}
	for name, pin := range shortened(s.Bases) {
		base, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return nil, fmt.Errorf("parsing base image %q: %w", name, err)
		}
		attrs["context:"+name] = schemeImage + base.Name() + "@" + pin
	}
	return attrs, nil
}

// exporterAttrs asks for blobs, not an archive, and for new layers without
// compression: they get their times and their compression here, once.
func (s Source) exporterAttrs() map[string]string {
	attrs := map[string]string{"tar": "false", "compression": "uncompressed"}
	for key, value := range s.Annotations {
		attrs["annotation."+key] = value
	}
	return attrs
}

// attachables are what the builder may ask its client for.
func attachables(secrets map[string][]byte, keychain authn.Keychain) []session.Attachable {
	return []session.Attachable{
		secretsprovider.FromMap(secrets),
		newTokens(keychain),
	}
}

// addContext gives a named context to the frontend. The last element of its
// scratch folder's path is the name that client and frontend use for it.
func (in inputs) addContext(opt *client.SolveOpt, name, scratch string) error {
	key, id := "context:"+name, filepath.Base(scratch)
	switch c := in.contexts[name]; {
	case c.image != "":
		opt.FrontendAttrs[key] = schemeImage + c.image
	case c.layout != "":
		store, err := newLazyStore(scratch, layoutBlobs(c.layout))
		if err != nil {
			return err
		}
		opt.FrontendAttrs[key] = schemeLayout + id + "@" + c.digest.String()
		opt.OCIStores[id] = store
	default:
		opt.FrontendAttrs[key] = "local:" + id
		opt.LocalMounts[id] = in.sent(c.tree)
	}
	return nil
}
