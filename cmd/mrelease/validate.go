package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// checker finds what is wrong between keys, and what is missing.
type checker struct {
	*decoder
	cfg   config
	files []string
}

// err returns all problems as one error.
func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	return &configError{c.problems}
}

func (c *checker) complain(key, format string, args ...any) {
	where, ok := c.places[key]
	if !ok {
		where = "configuration"
		if len(c.files) > 0 {
			where = c.files[len(c.files)-1]
		}
	}
	c.problems = append(c.problems, problem{where, key, fmt.Sprintf(format, args...)})
}

// missing complains of a key that is not set. One whose value was refused is
// not missing.
func (c *checker) missing(key, text string) {
	if !c.refused(key) {
		c.complain(key, "is missing: %s", text)
	}
}

// refused reports whether there is a problem with a key.
func (c *checker) refused(key string) bool {
	return slices.ContainsFunc(c.problems, func(p problem) bool { return p.Key == key })
}

func (c *checker) check(need purpose) {
	if need.Build {
		c.checkBuild()
	}
	c.checkEnclave()
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Chains)) {
		c.checkChain(name)
	}
	if need.Publish {
		c.checkPublish()
	}
}

func (c *checker) checkBuild() {
	if info, err := os.Stat(string(c.cfg.Build.Context)); err != nil {
		c.complain("build.context", "%s", readProblem(err))
	} else if !info.IsDir() {
		c.complain("build.context", "%s is no folder", c.cfg.Build.Context)
	} else if _, err := os.Stat(c.cfg.dockerfile()); err != nil {
		c.complain("build.dockerfile", "%s: %s", c.cfg.dockerfile(), readProblem(err))
	}
	for _, id := range slices.Sorted(maps.Keys(c.cfg.Build.Secrets)) {
		s := c.cfg.Build.Secrets[id]
		if (s.Env == "") == (s.File == "") {
			c.complain("build.secrets."+id, "want exactly one of env and file")
		}
	}
}

func (c *checker) checkEnclave() {
	e := c.cfg.Enclave
	if e.Timeout <= 0 {
		c.complain("enclave.timeout", "must be above 0")
	}
	if e.File != "" && !path.IsAbs(e.File) {
		c.complain("enclave.fingerprint-file", "must be an absolute path in the image, got %q", e.File)
	}
	for _, k := range []struct {
		key string
		set bool
	}{{"framework", e.Framework != ""}, {"version", e.Version != ""}, {"entrypoint", e.Entrypoint != ""}, {"heap", e.Heap != 0 && e.Seal != buildkit.SealBinaryFS}} {
		if k.set && e.Format != measure.JSON {
			c.complain("enclave."+k.key, "is used with format json only, and the format is %s", e.Format)
		}
	}
	c.checkSeal()
	if e.Format != measure.JSON {
		return
	}
	var malformed *measure.FormatError
	if err := e.object().Validate(); errors.As(err, &malformed) {
		key := strings.TrimSuffix(strings.ToLower(malformed.Part), "size")
		c.complain("enclave."+key, "%s", malformed.Problem)
	}
}

func (c *checker) checkChain(name string) {
	profile, key := c.cfg.Chains[name], "chains."+name
	for _, k := range []struct {
		name    string
		missing bool
	}{
		{"id", profile.ID == 0}, {"rpc", profile.RPC == ""}, {"hub", profile.Hub == common.Address{}},
		{"market", profile.Market == ""}, {"fees", profile.Fees == ""},
	} {
		if k.missing && !c.cfg.isBuiltin(name) {
			c.complain(key, "%s is missing", k.name)
		}
	}
}

func (c *checker) checkPublish() {
	if c.cfg.Image.Repository == (name.Repository{}) {
		c.missing("image", "the repository to push to, such as ghcr.io/acme/hello")
	}
	chains := "one of " + strings.Join(c.cfg.chainNames(), ", ")
	if _, ok := c.cfg.profile(c.cfg.Chain); c.cfg.Chain == "" {
		c.missing("chain", chains)
	} else if !ok {
		c.complain("chain", "unknown chain %q, want %s", c.cfg.Chain, chains)
	}
	if c.cfg.Sign.Key == "" {
		c.missing("sign.key", "a cosign key file or env://VARIABLE")
	}
	if c.cfg.Wallet.Keystore == "" && !c.cfg.Wallet.AllowRawKey {
		c.missing("wallet.keystore", "a keystore file, or a folder of them and wallet.address")
	}
	o := c.cfg.Order
	if o.Volume < 1 || o.Volume > poco.MaxAmount {
		c.complain("order.volume", "must be between 1 and %d, the market's limit, got %d", uint64(poco.MaxAmount), o.Volume)
	}
	if o.Price > poco.MaxAmount {
		c.complain("order.price", "must be at most %d nRLC, the market's limit, got %d", uint64(poco.MaxAmount), o.Price)
	}
}
