package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
)

// Checker finds what is wrong with settings, and keeps it. Settings are as far as
// they could be read.
type Checker struct {
	*decoder
	Settings Settings
	Files    []string // that they were read from

	lacking []string // what no file, variable or flag says, where there is no file

	everyApp, chosen []*Checker // of the apps of a configuration that has several
	entry            *entry     // of such an app; else nil
}

// Unread reports whether a file could not be read, so that nothing is known of what is
// missing.
func (c *Checker) Unread() bool { return c.unread }

// Err returns all problems as one error, those of each app that is chosen among them.
func (c *Checker) Err() error {
	return asError(c.all())
}

func asError(all []Problem) error {
	if len(all) == 0 {
		return nil
	}
	return &Error{all}
}

// Complain adds a problem with the value of a key.
func (c *Checker) Complain(key, format string, args ...any) {
	p := Problem{Where: c.Place(key), Key: key, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(c.Problems, p) { // two parts may trip over one thing
		c.Problems = append(c.Problems, p)
	}
}

// Place returns where a key was set last, else the files in which it is missing.
func (c *Checker) Place(key string) string {
	switch where, ok := c.places[key]; {
	case ok:
		return where
	case c.entry.owns(key, false):
		return c.entry.where
	case len(c.Files) > 0:
		return strings.Join(c.Files, ", ")
	}
	return "configuration"
}

// missing complains of a key that is not set. One whose value was refused is
// not missing.
func (c *Checker) missing(key, text string) {
	switch {
	case c.Refused(key):
	case len(c.Files) == 0:
		c.lacking = append(c.lacking, key)
	default:
		c.Complain(key, "is missing: %s", text)
	}
}

// Refused reports whether there is a problem with a key.
func (c *Checker) Refused(key string) bool {
	return slices.Contains(c.lacking, key) || slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Key == key })
}

// Check finds what is wrong between keys, and what is missing for a purpose. Of files
// that could not be read it claims nothing else.
func (c *Checker) Check(need Purpose) {
	if c.unread {
		return
	}
	c.check(need)
	if c.lacking != nil {
		c.Problems = append([]Problem{noFile(c.lacking)}, c.Problems...)
	}
}

func (c *Checker) check(need Purpose) {
	if need.Build {
		c.checkBuild()
		c.checkBuilders()
	}
	c.checkEnclave()
	c.checkKeyPlaces()
	for _, name := range slices.Sorted(maps.Keys(c.Settings.Chains)) {
		c.checkChain(name)
	}
	if need.Publish {
		c.checkPublish()
		c.checkAppSecret()
	}
	if need.Build && need.Publish {
		c.checkProject()
	}
}

// checkProject looks for what a release would write into: iExec's command line makes it.
func (c *Checker) checkProject() {
	if c.Settings.Project == "" {
		return
	}
	file := filepath.Join(string(c.Settings.Project), iexeccli.File)
	if _, err := os.Stat(file); err != nil {
		c.Complain("project", "%s: %s", file, Reason(err))
	}
}

func (c *Checker) checkBuild() {
	if info, err := os.Stat(string(c.Settings.Build.Context)); err != nil {
		c.Complain("build.context", "%s: %s", c.Settings.Build.Context, Reason(err))
	} else if !info.IsDir() {
		c.Complain("build.context", "%s is no folder", c.Settings.Build.Context)
	} else {
		c.checkDockerfile()
	}
	c.checkCache()
	for _, id := range slices.Sorted(maps.Keys(c.Settings.Build.Secrets)) {
		c.checkSecret(id, c.Settings.Build.Secrets[id])
	}
}

// checkDockerfile blames the place that names the Dockerfile; where none does, the file.
func (c *Checker) checkDockerfile() {
	path := c.Settings.DockerfilePath()
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		c.checkNoPolicy(path + ".rego")
	case err == nil:
		c.Complain("build.dockerfile", "%s is a folder", path)
	case c.Settings.Build.Dockerfile != "":
		c.Complain("build.dockerfile", "%s: %s", path, Reason(err))
	case len(c.Files) == 0 && c.Settings.Build.Context == Defaults().Build.Context:
		c.lacking = append(c.lacking, "build.dockerfile")
	default:
		c.Problems = append(c.Problems, Problem{Where: path, Key: "build.dockerfile", Text: Reason(err), Cure: "write a Dockerfile (mrelease init shows one), or name yours in build.dockerfile" + others(path, "Dockerfile*", "dockerfile*", "Containerfile")})
	}
}

// checkNoPolicy refuses a build policy of buildx, which lies beside a Dockerfile: somebody
// takes the builds for judged by it, and here nothing evaluates it.
func (c *Checker) checkNoPolicy(file string) {
	if _, err := os.Lstat(file); err == nil {
		c.Problems = append(c.Problems, Problem{Where: file, Key: "build.dockerfile", Text: "is a build policy of docker buildx, which mrelease does not evaluate", Cure: "move it away; what it demands can be checked by docker buildx build, in a job before the release"})
	}
}

func (c *Checker) checkEnclave() {
	e := c.Settings.Enclave
	if e.Timeout <= 0 {
		c.Complain("enclave.timeout", "must be above 0")
	}
	if e.File != "" && !path.IsAbs(e.File) {
		c.Complain("enclave.fingerprint-file", "must be an absolute path in the image, got %q", e.File)
	}
	for _, k := range []struct {
		key string
		set bool
	}{{"framework", e.Framework != ""}, {"version", e.Version != ""}, {"entrypoint", e.Entrypoint != ""}, {"heap", e.Heap != 0 && e.Seal != buildkit.SealBinaryFS}} {
		if k.set && e.Format != measure.JSON {
			c.Complain("enclave."+k.key, "is used with format json only, and the format is %s", e.Format)
		}
	}
	c.checkSeal()
	if e.Format != measure.JSON {
		return
	}
	if e.Framework != "" && !slices.Contains(poco.Frameworks(), strings.ToLower(e.Framework)) {
		c.Complain("enclave.framework", "unknown framework %q, want one of %s", e.Framework, strings.ToUpper(strings.Join(poco.Frameworks(), ", ")))
		return
	}
	var malformed *measure.FormatError
	if err := e.Object().Validate(); errors.As(err, &malformed) {
		key := strings.TrimSuffix(strings.ToLower(malformed.Part), "size")
		c.Complain("enclave."+key, "%s", malformed.Problem)
	}
}

// maxConfirmations is what the longest reorganisations that chains had stay below.
const maxConfirmations = 1000

func (c *Checker) checkChain(name string) {
	profile, key := c.Settings.Chains[name], "chains."+name
	if profile.Confirm > maxConfirmations {
		c.Complain(key+".confirmations", "must be at most %d, got %d", maxConfirmations, profile.Confirm)
	}
	if builtin, ok := builtinChain(name); ok {
		if profile.ID != 0 && profile.ID != builtin.ID {
			c.Complain(key+".id", "%s is built in with the id %d: another chain is another name", name, builtin.ID)
		}
		if profile.Hub != (common.Address{}) && profile.Hub != builtin.Hub {
			c.Complain(key+".hub", "%s is built in with the hub %s: another chain is another name", name, builtin.Hub)
		}
		if profile.ENS != (common.Address{}) && profile.ENS != builtin.ENS {
			c.Complain(key+".ens", "%s is built in, and its names are not those of another registry", name)
		}
		if profile.Development {
			c.Complain(key+".development", "%s is built in, and takes no measurement of a stand-in toolchain", name)
		}
		return
	}
	for _, k := range []struct {
		name    string
		missing bool
	}{
		{"id", profile.ID == 0}, {"rpc", len(profile.RPC) == 0}, {"hub", profile.Hub == common.Address{}},
		{"market", profile.Market == ""}, {"fees", profile.Fees == ""},
	} {
		if k.missing {
			c.Complain(key, "%s is missing", k.name)
		}
	}
}

func (c *Checker) checkPublish() {
	if c.Settings.Image.Repository == (name.Repository{}) {
		c.missing("image", "the repository to push to, such as ghcr.io/acme/hello")
	}
	chains := "one of " + strings.Join(c.Settings.ChainNames(), ", ")
	if _, ok := c.Settings.Profile(c.Settings.Chain); c.Settings.Chain == "" {
		c.missing("chain", chains)
	} else if !ok {
		c.Complain("chain", "unknown chain %q, %s", c.Settings.Chain, cmp.Or(c.Settings.NearestChain(), "want "+chains))
	}
	if p, ok := c.Settings.Profile(c.Settings.Chain); ok && c.Settings.App.ENS != "" && p.ENS == (common.Address{}) {
		c.Complain("app.ens", "%s has no registry of names: leave it out, or name the registry in chains.%s.ens", p.Name, p.Name)
	}
	c.checkSign()
	c.checkAttest()
	c.checkWallet()
	if info, err := os.Stat(string(c.Settings.Record)); c.Settings.Record == "" {
		c.missing("record", "the file that the record is written to, such as dist/record.json")
	} else if err == nil && !info.Mode().IsRegular() {
		c.Complain("record", "%s is there and no file: name a file in it", c.Settings.Record)
	}
	o := c.Settings.Order
	if o.Volume < 1 || o.Volume > poco.MaxAmount {
		c.Complain("order.volume", "must be between 1 and %d, the market's limit, got %d", uint64(poco.MaxAmount), o.Volume)
	}
	if o.Overlap < 0 {
		c.Complain("order.overlap", "must not be negative, got %s", time.Duration(o.Overlap))
	}
	if o.Overlap > 0 && o.Retire == orders.RetireKeep {
		c.Complain("order.overlap", "ends the sale of earlier releases, which order.retire: %s leaves on sale: leave one of both out", o.Retire)
	}
	if o.Price > poco.MaxAmount {
		c.Complain("order.price", "must be at most %d nRLC, the market's limit, got %d", uint64(poco.MaxAmount), o.Price)
	}
	c.checkCanary()
}

// checkWallet finds out whether one wallet is named, and whose it is where only that can
// tell whether what was signed is right; and likewise for who pays.
func (c *Checker) checkWallet() {
	w := c.Settings.Wallet
	if w.IsSafe() {
		c.checkSafe()
		return
	}
	c.checkAccount("wallet", w)
	if w.Payer != (Payer{}) {
		c.checkAccount("wallet.payer", w.Payer.Wallet())
		c.checkOwnersCalls()
	}
}

// checkSafe refuses what the owner itself would have to sign or send: a contract signs
// nothing, and is asked to call the hub alone.
func (c *Checker) checkSafe() {
	s := c.Settings
	if w := s.Wallet; w.Keystore != "" || w.Clef != "" || w.KMS.IsSet() || w.AllowRawKey || w.Address != (common.Address{}) {
		c.Complain("wallet.safe", "stands beside wallet.keystore, wallet.clef, wallet.kms, wallet.address or wallet.allow-raw-key: want it alone, with wallet.payer")
	}
	if s.Wallet.Payer == (Payer{}) {
		c.missing("wallet.payer", "the wallet that registers the apps of wallet.safe, and pays for it: a keystore, clef or kms")
	} else {
		c.checkAccount("wallet.payer", s.Wallet.Payer.Wallet())
	}
	for _, k := range []struct {
		key string
		set bool
		why string
	}{
		{"app.ens", s.App.ENS != "", "the owner itself must send what makes a name lead to an app"},
		{"app.groups", len(s.App.Groups) > 0, "the owner itself must send what adds an app to a group"},
		{"app-secret", s.Secret != Secret{}, "the secret service takes the signature of an owner with a key"},
		{"canary.run", s.Canary.Run, "the owner itself signs and buys the run"},
		{"project", s.Project != "", "iExec's command line takes no order without a signature"},
		{"order.retire", s.Order.Retire == orders.RetireUnpublish, "no market has orders of a contract, so there is none to take out of it: want close or keep"},
		{"order.overlap", s.Order.Overlap != 0, "no market says since when an order of a contract is on sale: the Safe closes the order of an earlier release when it executes the file"},
	} {
		if k.set {
			c.Complain(k.key, "stands beside wallet.safe: %s", k.why)
		}
	}
}

// checkOwnersCalls refuses what only the owner can call, where another wallet pays.
func (c *Checker) checkOwnersCalls() {
	const why = "stands beside wallet.payer: the owner itself must send these transactions, and pay for them"
	if a := c.Settings.App; a.ENS != "" {
		c.Complain("app.ens", why)
	} else if len(a.Groups) > 0 {
		c.Complain("app.groups", why)
	}
}

func (c *Checker) checkAccount(key string, w Wallet) {
	switch {
	case w.Clef != "" && (w.Keystore != "" || w.AllowRawKey):
		c.Complain(key+".clef", "stands beside %s.keystore or %s.allow-raw-key: want one of them", key, key)
	case w.KMS.IsSet() && (w.Keystore != "" || w.AllowRawKey || w.Clef != ""):
		c.Complain(key+".kms", "stands beside %s.keystore, %s.clef or %s.allow-raw-key: want one of them", key, key, key)
	case w.Clef != "" && w.Address == common.Address{}:
		c.missing(key+".address", "the account of Clef that signs")
	case w.Clef == "" && w.Keystore == "" && !w.AllowRawKey && !c.Refused(key+".kms") && !w.KMS.IsSet():
		c.missing(key+".keystore", "a keystore file, or a folder of them and "+key+".address")
	}
}
