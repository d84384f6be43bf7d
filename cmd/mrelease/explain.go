package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/canaries"
	sales "github.com/mrelease/mrelease/cmd/orders"
	"github.com/mrelease/mrelease/cmd/requests"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/compare"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Exit codes. They tell a script what kind of thing went wrong.
const (
	exitUnexpected  = 1
	exitUsage       = 2  // command line or configuration
	exitDiffers     = 10 // the build is not reproducible
	exitMeasurement = 11 // the image does not measure, or measures to something else
	exitSignature   = 12 // of an image or a record
	exitChain       = 13 // the chain holds, or is, something else
	exitOrder       = 14 // the order cannot be matched
	exitUnmeasured  = 15 // all that was checked is right, and nothing was measured
	exitNetwork     = 20 // registry or market, after retries
	exitRPC         = 22 // the chain's node
	exitFunds       = 23
	exitPolicy      = 40 // refused: overwriting a version, a dirty tree, a synthetic measurement
)

// evident is an error that brings its evidence along.
type evident interface {
	error
	Evidence() [][2]string
}

// explain turns an error into what is shown of it. Packages say what happened;
// what to do about it is said here, in one table.
func explain(err error) failure {
	f := failure{Schema: "mrelease.error/v1", What: shortened(err.Error())}
	interrupted := errors.Is(err, context.Canceled)
	if interrupted && !is[*release.InterruptedError](err) {
		f.What = "interrupted" // whatever it broke off
	}
	var e evident
	if errors.As(err, &e) && !interrupted {
		for _, pair := range e.Evidence() {
			if pair[0] == "because" && strings.Contains(f.What, pair[1]) {
				continue // it is said already
			}
			f.Evidence = append(f.Evidence, fact{pair[0], shortened(pair[1])})
		}
	}
	var path *fs.PathError
	if e == nil && errors.As(err, &path) {
		f.Evidence = []fact{{"where", path.Path}, {"problem", path.Err.Error()}}
	}
	for _, explain := range []func(error) (string, int, string){canaries.Explain, sales.Explain, requests.Explain} {
		if f.Code == "" {
			f.Code, f.Exit, f.Remedy = explain(err)
		}
	}
	if f.Code == "" || interrupted {
		f.Code, f.Exit, f.Remedy = "E-UNEXPECTED", exitUnexpected, "run again; if it persists, report it with this output"
		if i := slices.IndexFunc(rules(), func(r rule) bool { return r.matches(err) }); i >= 0 {
			f.Code, f.Exit, f.Remedy = rules()[i].code, rules()[i].exit, rules()[i].remedy(err)
		}
	}
	if host, ok := errors.AsType[*net.DNSError](err); ok && host.IsNotFound && !interrupted {
		f.Remedy = "there is no host " + host.Name + ": correct its name where it is given (image, or rpc, market and sms of the chain); a name of your own network needs its DNS"
	}
	return f
}

// maxWords bounds a text of an error, in bytes: a service may have written it.
const maxWords = 16 << 10

// shortened leaves out the end of a long text, and tells how much that is.
func shortened(text string) string {
	if len(text) <= maxWords {
		return text
	}
	return fmt.Sprintf("%s… and %d bytes more", strings.ToValidUTF8(text[:maxWords], ""), len(text)-maxWords)
}

// rule says what an error means. The first rule that matches counts.
type rule struct {
	matches func(error) bool
	code    string
	exit    int
	remedy  func(error) string
}

// is matches errors that have a T among their causes.
func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// either matches errors that have one of two among their causes.
func either[A, B error](err error) bool { return is[A](err) || is[B](err) }

// unread matches a T for a file that cannot be opened.
func unread[T error](err error) bool { return is[T](err) && is[*fs.PathError](err) }

// locked matches a T for a key that its password would open.
func locked[T error](err error) bool { return is[T](err) && is[*keys.PasswordError](err) }

func say(text string) func(error) string { return func(error) string { return text } }

// adviceOf is what a T among an error's causes says that knows its remedy; empty without
// one. Other errors around it may know one, too, of what is around.
func adviceOf[T interface {
	error
	Remedy() string
}](err error) string {
	var known T
	if !errors.As(err, &known) {
		return ""
	}
	return known.Remedy()
}

func rules() []rule {
	return []rule{
		{func(err error) bool { return errors.Is(err, context.Canceled) }, "E-INTERRUPTED", 130, say("run the same command again: it goes on where it was")},
		{is[*usage.Error], "E-USAGE", exitUsage, adviceOf[*usage.Error]},
		{is[*stdoutError], "E-STDOUT", exitUnexpected, say("free space or give another standard output, then run the same command again: what is done is found")},
		{is[*source.VersionError], "E-USAGE", exitUsage, adviceOf[*source.VersionError]},
		{is[*source.GitError], "E-GIT", exitUsage, adviceOf[*source.GitError]},
		{func(err error) bool { var s *source.StateError; return errors.As(err, &s) && s.Incomplete() }, "E-USAGE", exitUsage, adviceOf[*source.StateError]},
		{is[*release.ImageError], "E-USAGE", exitUsage, say("name a file or folder that is there, or an image with its registry, as in docker.io/acme/hello:1.0.0")},
		{is[*settings.Error], "E-CONFIG", exitUsage, adviceOf[*settings.Error]},
		{is[*preflight.ExistsError], "E-EXISTS", exitUsage, say("complete the files that are there (mrelease check says what they lack), or move them away")},
		{is[*release.OutsideError], "E-OUTPUT", exitUsage, say("remove the link, or name the folder that it leads to")},
		{is[*release.UnwritableError], "E-OUTPUT", exitUsage, say("make room, or make the folder yours (a run with sudo leaves root's), or name another: record in mrelease.yaml, build --output")},
		{is[*ci.UncarriedError], "E-OUTPUT", exitUsage, say("choose another name for the file (record in mrelease.yaml)")},
		{is[*ci.EmulatedError], "E-EMULATED", exitPolicy, say("release from the CI system itself; here: mrelease plan, --dry-run, or a chain of your own with development: true")},
		{is[*source.StateError], "E-SOURCE-DIRTY", exitPolicy, adviceOf[*source.StateError]},

		{is[*measure.UnmeasuredError], "E-UNMEASURED", exitUnmeasured, adviceOf[*buildkit.NoBuilderError]},
		{is[*buildkit.AddressError], "E-USAGE", exitUsage, adviceOf[*buildkit.AddressError]},
		{is[*buildkit.NoBuilderError], "E-BUILDER", exitUsage, adviceOf[*buildkit.NoBuilderError]},
		{is[*buildkit.StateError], "E-STATE", exitUsage, say("remove the state folder if it should be yours (it is a cache), or name one that only you can write to with MRELEASE_STATE")},
		{is[*buildkit.ChangedError], "E-CACHE-CHANGED", exitUnexpected, say("run the same command again: it begins the cache anew; find out who may write to the state folder")},
		{is[*buildkit.ToolchainError], "E-TOOLCHAIN", exitUsage, adviceOf[*buildkit.ToolchainError]},
		{is[*buildkit.BuildError], "E-BUILD", exitUnexpected, adviceOf[*buildkit.BuildError]},
		{is[*buildkit.MaterialError], "E-BUILD", exitUnexpected, say("give the source a digest (ADD --checksum, FROM name@sha256:…), or build with the embedded builder")},
		{is[*buildkit.IgnoreError], "E-CONFIG", exitUsage, say("correct the line above")},
		{is[*buildkit.OutputError], "E-OUTPUT", exitUsage, say("move away what is there, if it is not needed, or run in another folder")},
		{is[*buildkit.UserError], "E-MEASURE-ENTRYPOINT", exitMeasurement, say("build the image with that user, or with its number in USER")},

		{is[*document.Error], "E-USAGE", exitUsage, say("name the record that a release wrote (dist/record.json), or what else the command takes: its --help says what")},
		{is[*compare.IrreproducibleError], "E-NOT-REPRODUCIBLE", exitDiffers, adviceOf[*compare.IrreproducibleError]},
		{is[*lock.DriftError], "E-ENCLAVE-DRIFT", exitMeasurement, say("mrelease accept, if the change is meant (then commit " + lock.Name + "); else revert it")},
		{is[*release.OtherAppError], "E-OTHER-APP", exitPolicy, say("name what is this app's, or the other app's configuration with --config")},
		{is[*lock.Error], "E-LOCK", exitUsage, say("take " + lock.Name + " from git again, or delete it and run mrelease accept")},

		{is[*buildkit.NoProgramError], "E-MEASURE-ENTRYPOINT", exitMeasurement, say("give the Dockerfile an ENTRYPOINT that starts the enclave's own program")},
		{is[*enclave.OpenError], "E-USAGE", exitUsage, say("mrelease measure --help")},
		{is[*enclave.ExpectedError], "E-MEASURE-EXPECTED", exitMeasurement, say("do not use it as what was expected: take the file from its maker again, or correct --expect")},
		{is[*enclave.MismatchError], "E-ENCLAVE-CHANGED", exitMeasurement, say("the file was changed after it was signed, or carries the signature of another enclave: sign it again, or take it from its maker again")},
		{is[*sgx.SignatureError], "E-ENCLAVE-SIGNATURE", exitSignature, say("the SIGSTRUCT was changed after signing: take the file from its maker again")},
		{is[*enclave.UnsignedError], "E-ENCLAVE-UNSIGNED", exitMeasurement, say("sign the enclave with its SDK's tool first (sgx_sign, oesign)")},
		{is[*enclave.NoSignatureError], "E-ENCLAVE-NONE", exitMeasurement, say("give a signed enclave, an SGXS stream or a SIGSTRUCT; for an image, its reference or the folder of its OCI layout")},
		{is[*enclave.SignatureOnlyError], "E-ENCLAVE-SIGNATURE-ONLY", exitUnmeasured, adviceOf[*enclave.SignatureOnlyError]},
		{is[*enclave.UnmeasurableError], "E-ENCLAVE-UNMEASURED", exitMeasurement, say("do not take its signature for a measurement: take the file from its maker again; if it is as its maker made it, measure it with the tool of the SDK that made it")},
		{is[*sgx.LimitError], "E-ENCLAVE-LIMIT", exitMeasurement, say("the file asks for more than enclaves need; if it is one all the same, allow more with --hash-limit, where that is the limit above")},
		{is[*enclave.FileError], "E-ENCLAVE-FILE", exitMeasurement, say("the file is damaged or no enclave: take it from its maker again")},
		{is[*measure.UntrustedError], "E-ENCLAVE-TRUST", exitMeasurement, say("let ENTRYPOINT start the enclave's own program, from a base image that is pinned by its digest (FROM …@sha256, build.bases); enclave.trust: stated, or verify --trust stated, takes any program's word")},
		{is[*measure.UnsignedError], "E-ENCLAVE-UNSIGNED", exitMeasurement, say("enclave.program must be the file that the seal signed: the program itself, not a link to it")},
		{is[*sgx.PolicyError], "E-ENCLAVE-POLICY", exitPolicy, say("sign with a production key (enclave.key) that is in enclave.signers, and with an enclave.isvsvn that is no lower than the accepted one; enclave.allow-debug: true releases a debug enclave, whose memory is open")},
		{is[*sgx.KeyError], "E-ENCLAVE-KEY", exitUsage, say("make a key that enclaves can be signed with: openssl genrsa -3 -out enclave-key.pem 3072")},
		{is[*measure.MismatchError], "E-MEASURE-MISMATCH", exitMeasurement, say("build with --no-cache; if the values still differ, the fingerprint was written before the last change of what is measured: move that step to the end of the Dockerfile")},
		{is[*measure.OutputError], "E-MEASURE-OUTPUT", exitMeasurement, say("the image's ENTRYPOINT must start the enclave's own program, which prints 64 hex digits in hash mode and nothing else on standard output")},
		{is[*measure.TimeoutError], "E-MEASURE-TIMEOUT", exitMeasurement, say("check that the ENTRYPOINT starts the enclave's own program, which ends by itself in hash mode; a slow one needs a higher enclave.timeout")},
		{is[*measure.NoSealError], "E-MEASURE-SEAL", exitMeasurement, say("write the fingerprint to the file of enclave.fingerprint-file in the image, or build with --no-cache so that the line is printed")},
		{is[*measure.FileError], "E-MEASURE-FILE", exitMeasurement, say("make the file that enclave.fingerprint-file or enclave.program names a regular file of the image: it is what a process in its container would read")},
		{either[*buildkit.ExtractError, *measure.LayerError], "E-IMAGE-EXTRACT", exitMeasurement, say("build the image again with another builder: no runtime can make its files of such layers")},
		{is[*measure.FormatError], "E-MEASURE-FORMAT", exitMeasurement, say("correct the step of the Dockerfile that writes the fingerprint: KEY (64 hex digits)|TAG (32)|MRENCLAVE (64)")},

		{is[*record.Error], "E-RECORD", exitSignature, say("take the record from its release again: any change makes it invalid")},
		{is[*record.MovedError], "E-IMAGE-MOVED", exitSignature, say("the registry serves another image than was released: do not run it")},
		{is[*record.ContentError], "E-IMAGE-CONTENT", exitSignature, say("the registry serves other bytes than were released: do not run the image")},
		{is[*registry.UnsignedError], "E-SIGNATURE", exitSignature, say("check that the key is the one the release was signed with")},
		{is[*registry.UnattestedError], "E-PROVENANCE", exitSignature, say("check that record and key are the release's; mrelease release of the same version adds a provenance that is missing")},
		{is[*release.TimeError], "E-VERSION-TAKEN", exitPolicy, adviceOf[*release.TimeError]},
		{is[*registry.TakenError], "E-VERSION-TAKEN", exitPolicy, say("release the changed source under a new version, or check out the commit of the old one")},
		{is[*registry.OvertakenError], "E-OVERTAKEN", exitNetwork, say("run the same command again: it takes the image that is there")},
		{is[*registry.MissingError], "E-IMAGE-MISSING", exitNetwork, say("check the reference; if the image was taken away, its owner can push it again, with the same digest")},
		{is[*registry.LoginError], "E-REGISTRY-LOGIN", exitNetwork, adviceOf[*registry.LoginError]},
		{is[*registry.PushError], "E-REGISTRY-LOGIN", exitNetwork, adviceOf[*registry.PushError]},
		{is[*registry.UnkeptError], "E-REGISTRY-SIGNATURES", exitNetwork, say("set sign.layout: tags, which keeps signatures as cosign's older versions did (all of its versions read them), or push to another registry")},
		{is[*registry.SilentError], "E-REGISTRY", exitNetwork, say("check the address in image, and the network")},
		{locked[*keys.Error], "E-SIGN-KEY", exitUsage, say("set " + keys.CosignPassword + " to the password of the key in sign.key, with which cosign generate-key-pair made it")},
		{unsetKey, "E-SIGN-KEY", exitUsage, say("set the variable above to the key, or name another place of it: sign.key, enclave.key")},
		{unread[*keys.Error], "E-SIGN-KEY", exitUsage, say("correct sign.key (enclave.key) or the rights of the file, or make a key: cosign generate-key-pair")},
		{either[*keyless.IdentityError, *ci.PullRequestError], "E-IDENTITY", exitPolicy, say("nothing was signed: run the workflow that sign.keyless names, or correct sign.keyless.issuer and identity; runs for proposed changes sign with allow-pull-requests only")},
		{is[*ci.TokenError], "E-IDENTITY-TOKEN", exitUsage, adviceOf[*ci.TokenError]},
		{is[*keyless.TokenError], "E-IDENTITY-TOKEN", exitUsage, say("give the job a token of its own that is valid until the image is signed: nobody is asked for one")},
		{either[*keyless.RootError, *record.RootlessError], "E-TRUSTED-ROOT", exitUsage, say("name a trusted root with sign.trusted-root, or verify --trusted-root: who runs the certificate authority has it; of the public one, cosign trusted-root create writes it")},
		{is[*keyless.ConfigError], "E-SIGNING-CONFIG", exitUsage, say("name a signing configuration with a certificate authority and a timestamp authority in sign.keyless.signing-config (cosign signing-config create writes one)")},
		{is[*keyless.ServiceError], "E-SIGSTORE", exitNetwork, say("wait and run the same command again: what is done is found")},
		{is[*keys.Error], "E-SIGN-KEY", exitUsage, say("sign.key must be a cosign key (cosign generate-key-pair) of type ECDSA P-256 or RSA, and " + keys.CosignPassword + " its password")},

		{is[*preflight.ClockError], "E-CLOCK", exitUsage, say("set the clock: timedatectl set-ntp true")},
		{oddWallet, "E-WALLET", exitUsage, say("nobody makes such a keystore file for use: take it from its maker again, or write it anew with iexec wallet import")},
		{unread[*node.WalletError], "E-WALLET", exitUsage, say("correct wallet.keystore or the rights of the file, or make a wallet: iexec wallet create --keystoredir .")},
		{locked[*node.WalletError], "E-WALLET", exitUsage, say("set " + keys.WalletPassword + " to the password of the keystore file in wallet.keystore")},
		{is[*node.WalletError], "E-WALLET", exitUsage, say("correct what is said above of wallet.keystore, wallet.address or " + keys.WalletKey)},
		{is[*apps.SyntheticError], "E-SYNTHETIC", exitPolicy, say("build on the real base image, or choose a chain with development: true")},
		{is[*node.FundsError], "E-FUNDS", exitFunds, say("send the wallet some of the chain's native coin and run again")},
		{is[*node.FeeError], "E-FEE", exitFunds, say("wait until the chain is less busy, or raise chains.<name>.max-fee-per-gas, then run again: what is done is found")},
		{is[*node.NotPoCoError], "E-CHAIN-HUB", exitChain, say("correct chains.<name>.hub")},
		{is[*node.WrongChainError], "E-CHAIN-WRONG", exitChain, say("correct the id, rpc or hub of the chain")},
		{is[*apps.ConflictError], "E-APP-CONFLICT", exitChain, say("compare the fields above; an app given to another owner cannot be offered by this wallet: release a new version")},
		{is[*apps.NoAppError], "E-APP-MISSING", exitChain, say("check the chain; mrelease release registers the app")},
		{ordered(node.SoldOut), "E-ORDER-SOLD-OUT", exitOrder, say("to offer more runs, set order.volume to a higher number and run mrelease release of the same version again: it publishes another order of the same app")},
		{ordered(node.Cancelled), "E-ORDER-CANCELLED", exitOrder, say("the order is closed for good, by its owner or by a later release: release a new version; or mrelease order publish, or mrelease rollback, sells this one again by another order")},
		{ordered(node.Spent), "E-ORDER-SPENT", exitOrder, say("the market does not tell which (it may lag: ask again); sold out: set order.volume to a higher number and run mrelease release of the same version again; cancelled: release a new version, or mrelease order publish")},
		{ordered(node.Dead), "E-ORDER-DEAD", exitOrder, say("run mrelease release of the same version again, as the app's owner: it publishes the order again")},
		{is[*node.OrderError], "E-ORDER", exitOrder, say("it is not the release's order that is offered: compare the values above, and ask who runs the market")},
		{is[*node.RPCError], "E-RPC", exitRPC, say("check the chain's rpc and run the same command again: what is done is found")},
		{is[*bounds.AddressError], "E-REDIRECT", exitNetwork, say("the service, or somebody in its place, tries to reach what only this machine can: ask who runs it, and do not try again")},
		{is[*bounds.SlowError], "E-SLOW", exitNetwork, say("wait and run the same command again, or use a service that is nearer: what is done is found")},
		{fileBeyondBounds, "E-TOO-LARGE", exitUsage, say("name a smaller file: SECURITY.md has the bounds")},
		{is[*bounds.Error], "E-TOO-LARGE", exitNetwork, say("no honest service answers so much, and SECURITY.md has the bounds: check the address, and ask who runs it")},
		{is[*orders.NotOfferedError], "E-ORDER-MISSING", exitOrder, say("run mrelease release of the same version again: it publishes the order")},
		{is[*market.FullError], "E-MARKET-FULL", exitOrder, say("close those that need not be sold (mrelease order list, order close), and run the same command again")},
		{is[*market.UnlistedError], "E-ORDER-UNLISTED", exitNetwork, say("wait, and run the same command again; if it stays so, ask who runs the market: those who look for the app do not find its order")},
		{marketRefused, "E-MARKET-REFUSED", exitOrder, say("correct what the market says above; nothing else is lost, run again")},
		{is[*market.Error], "E-MARKET", exitNetwork, say("wait and run the same command again: what is done is found")},
		{registryRefused, "E-REGISTRY-LOGIN", exitNetwork, say("log in to the registry (docker login) as a user who may do this; some registries answer so, too, where there is no such image")},
		{is[*registry.Error], "E-REGISTRY", exitNetwork, adviceOf[*registry.Error]},
		{registryFailed, "E-REGISTRY", exitNetwork, say("wait and run the same command again: what is done is found")},
		{registry.IsDown, "E-NETWORK", exitNetwork, say("check the address and run the same command again: what is done is found")},
		{fileTrouble, "E-FILE", exitUsage, say("name a file or folder that is there and that you may use, or make it so, then run again: what is done is found")},
	}
}

// unsetKey matches a key whose variable of the environment is not set.
func unsetKey(err error) bool { return is[*keys.Error](err) && is[*keys.UnsetError](err) }

// oddWallet matches a keystore file that is not opened for what that takes.
func oddWallet(err error) bool {
	return is[*node.ParameterError](err) || is[*node.WalletError](err) && is[*bounds.Error](err)
}

// fileBeyondBounds matches a file of this machine that goes beyond a bound.
func fileBeyondBounds(err error) bool {
	var larger *bounds.Error
	return errors.As(err, &larger) && larger.File
}

// ordered matches an order that came to an end.
func ordered(end node.OrderState) func(error) bool {
	return func(err error) bool {
		var o *node.OrderError
		return errors.As(err, &o) && o.State == end
	}
}

// fileTrouble matches a file or folder that cannot be read, written or made.
func fileTrouble(err error) bool { return is[*fs.PathError](err) || is[*os.LinkError](err) }

// marketRefused matches a market's refusal, which a second try will not change.
func marketRefused(err error) bool {
	var me *market.Error
	return errors.As(err, &me) && me.Status >= 400 && me.Status < 500 && me.Status != 429
}

// registryFailed matches a registry's answer that is an error, for no reason that has a
// code.
func registryFailed(err error) bool { return is[*transport.Error](err) }

// registryRefused matches a registry that does not let this login, or nobody, do what was
// asked.
func registryRefused(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && (te.StatusCode == 401 || te.StatusCode == 403)
}
