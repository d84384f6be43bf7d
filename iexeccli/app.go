package iexeccli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// app reads the app's own fields. Its checksum and its enclave's fingerprint are
// those of an earlier image, and are not looked at.
func (r *reader) app(app value) {
	if app.is == nil {
		r.leave(app, "there is none")
		return
	}
	if v := app.field("name"); v.text() != "" {
		r.Name = v.text()
		r.take(v, "%s", r.Name)
	}
	r.Owner = r.address("wallet.address", app.field("owner"))
	if v := app.field("type"); v.text() != "" && v.text() != poco.TypeDocker {
		r.leave(v, "%q is no image", v.text())
	}
	r.image(app.field("multiaddr"))
	r.enclave(app.field("mrenclave"))
}

// address returns the zero address for one that is not set. One that cannot be read,
// such as a name of the Ethereum Name Service, leaves the key undecided.
func (r *reader) address(key string, v value) common.Address {
	text := v.text()
	if v.is == nil || v.is == "" {
		return common.Address{}
	}
	var address common.Address
	if address.UnmarshalText([]byte(text)) != nil {
		r.undecided(key, v, "%q is no address", fmt.Sprint(v.is))
		return common.Address{}
	}
	if address != (common.Address{}) {
		r.take(v, "%s", address)
	}
	return address
}

// image takes the repository of a multiaddr; the tag is each release's own.
func (r *reader) image(v value) {
	text := v.text()
	if text == "" {
		return
	}
	// Two more names of Docker Hub, which iExec's workers strip.
	text = strings.TrimPrefix(strings.TrimPrefix(text, "registry.hub.docker.com/"), "hub.docker.com/")
	ref, err := name.ParseReference(text)
	if err != nil || strings.HasPrefix(text, "0x") && !strings.Contains(text, "/") { // the bytes, as the chain has them
		r.leave(v, "%q is no image reference", v.text())
		return
	}
	r.Image = strings.Replace(ref.Context().Name(), name.DefaultRegistry+"/", "docker.io/", 1)
	r.take(v, "%s, without its tag", r.Image)
}

// enclave reads what the chain stores about the enclave: nothing, the text
// KEY|TAG|MRENCLAVE, or since SDK 6 an object, which may be written as text.
func (r *reader) enclave(v value) {
	text, _ := v.is.(string)
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var o map[string]any
		if err := json.Unmarshal([]byte(text), &o); err == nil {
			v.is = o
		}
	}
	switch is := v.is.(type) {
	case map[string]any:
		r.enclaveObject(v)
	case string:
		if is != "" {
			r.fingerprint(v, is)
		}
	}
}

func (r *reader) fingerprint(v value, text string) {
	f, err := measure.ParseFingerprint(text)
	if err != nil {
		r.leave(v, "%v", err)
		return
	}
	r.Format = measure.Legacy
	r.take(v, "the format %s; each release is measured anew", r.Format)
	if f.Entrypoint != "" {
		r.leave(v, "the entrypoint %q: the Dockerfile's fingerprint file must state it as the fourth part", f.Entrypoint)
	}
}

// enclaveObject reads the object; its framework was called provider in SDK 6
// and 7, and later SDKs take it in any letter case.
func (r *reader) enclaveObject(v value) {
	framework := v.field("framework")
	if framework.text() == "" {
		framework = v.field("provider")
	}
	o := measure.Object{
		Framework:  strings.ToUpper(framework.text()),
		Version:    v.field("version").text(),
		Entrypoint: v.field("entrypoint").text(),
	}
	if heap := v.field("heapSize"); heap.text() != "" {
		bytes, err := strconv.ParseUint(heap.text(), 10, 64)
		if err != nil {
			r.undecided("enclave.heap", heap, "%q is no number of bytes", heap.text())
		}
		o.HeapSize = bytes
	}
	switch {
	case o.Framework == "TDX":
		r.Format = measure.None
		r.take(framework, "the format %s", r.Format)
		return
	case !slices.Contains(poco.Frameworks(), strings.ToLower(o.Framework)):
		r.Format, r.Enclave = measure.JSON, o
		r.undecided("enclave.framework", framework, "%q is an unknown framework, want one of %s", o.Framework, strings.ToUpper(strings.Join(poco.Frameworks(), ", ")))
		return
	case !o.RunsProgram():
		r.Format, r.Enclave = measure.JSON, measure.Object{Framework: o.Framework, Version: o.Version}
		r.leave(framework, "an enclave of %s cannot be measured here: release it with its framework's own tools", o.Framework)
		return
	}
	r.Format, r.Enclave = measure.JSON, o
	r.take(v, "the format %s with framework %s, version %s, entrypoint %q, heap %d; each release is measured anew",
		r.Format, o.Framework, o.Version, o.Entrypoint, o.HeapSize)
}
