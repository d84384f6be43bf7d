package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/approvals"
	"github.com/mrelease/mrelease/cmd/canaries"
	sales "github.com/mrelease/mrelease/cmd/orders"
	"github.com/mrelease/mrelease/cmd/requests"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/compare"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/owned"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/sbom"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
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
	if interrupted && !usage.Is[*release.InterruptedError](err) {
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
	tables := [][]usage.Rule{approvals.Rules(), canaries.Rules(), sales.Rules(), requests.Rules(), rules()}
	if interrupted {
		tables = tables[len(tables)-1:]
	}
	f.Code, f.Exit, f.Remedy = "E-UNEXPECTED", usage.ExitUnexpected, "run again; if it persists, report it with this output"
	if r, found := usage.Find(slices.Concat(tables...), err); found {
		f.Code, f.Exit, f.Remedy = r.Code, r.Exit, r.Remedy(err)
	}
	if unfinished, ok := errors.AsType[*release.UnfinishedError](err); ok {
		f.Parts = slices.Clone(unfinished.Parts)
		for i, p := range f.Parts {
			f.Parts[i].Again = p.State != release.PartDone && slices.Contains([]int{130, usage.ExitNetwork, usage.ExitRPC}, f.Exit)
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

// either matches errors that have one of two among their causes.
func either[A, B error](err error) bool { return usage.Is[A](err) || usage.Is[B](err) }

// unread matches a T for a file that cannot be opened.
func unread[T error](err error) bool { return usage.Is[T](err) && usage.Is[*fs.PathError](err) }

// locked matches a T for a key that its password would open.
func locked[T error](err error) bool { return usage.Is[T](err) && usage.Is[*keys.PasswordError](err) }

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

// rules are those of the errors that no other package of commands explains.
func rules() []usage.Rule {
	return []usage.Rule{
		usage.On(func(err error) bool { return errors.Is(err, context.Canceled) }, "E-INTERRUPTED", 130, usage.Say("run the same command again: it goes on where it was")),
		usage.On(usage.Is[*usage.Error], "E-USAGE", usage.ExitUsage, adviceOf[*usage.Error]),
		usage.On(usage.Is[*stdoutError], "E-STDOUT", usage.ExitUnexpected, usage.Say("free space or give another standard output, then run the same command again: what is done is found")),
		usage.On(usage.Is[*source.VersionError], "E-USAGE", usage.ExitUsage, adviceOf[*source.VersionError]),
		usage.On(usage.Is[*source.GitError], "E-GIT", usage.ExitUsage, adviceOf[*source.GitError]),
		usage.On(usage.Is[*source.TagError], "E-TAG-MOVED", usage.ExitPolicy, usage.Say("all else is released: let the tag name that commit again, and run the same command again")),
		usage.On(func(err error) bool { var s *source.StateError; return errors.As(err, &s) && s.Incomplete() }, "E-USAGE", usage.ExitUsage, adviceOf[*source.StateError]),
		usage.On(usage.Is[*release.ImageError], "E-USAGE", usage.ExitUsage, usage.Say("name a file or folder that is there, or an image with its registry, as in docker.io/acme/hello:1.0.0")),
		usage.On(usage.Is[*settings.Error], "E-CONFIG", usage.ExitUsage, adviceOf[*settings.Error]),
		usage.On(usage.Is[*preflight.ExistsError], "E-EXISTS", usage.ExitUsage, usage.Say("complete the files that are there (mrelease check says what they lack), or move them away")),
		usage.On(usage.Is[*release.OutsideError], "E-OUTPUT", usage.ExitUsage, usage.Say("remove the link, or name the folder that it leads to")),
		usage.On(usage.Is[*release.BusyError], "E-OUTPUT", usage.ExitUsage, usage.Say("wait until it has ended, and run again; or run in a checkout of its own (git worktree add)")),
		usage.On(usage.Is[*release.UnwritableError], "E-OUTPUT", usage.ExitUsage, usage.Say("make room, or make the folder yours (a run with sudo leaves root's), or name another: record in mrelease.yaml, --output of build and plan")),
		usage.On(usage.Is[*ci.UncarriedError], "E-OUTPUT", usage.ExitUsage, usage.Say("choose another name for the file (record in mrelease.yaml)")),
		usage.On(usage.Is[*ci.EmulatedError], "E-EMULATED", usage.ExitPolicy, usage.Say("release from the CI system itself; here: mrelease plan, --dry-run, or a chain of your own with development: true")),
		usage.On(usage.Is[*source.StateError], "E-SOURCE-DIRTY", usage.ExitPolicy, adviceOf[*source.StateError]),

		usage.On(usage.Is[*measure.NotRunError], "E-UNMEASURED", usage.ExitUnmeasured, usage.Say("leave out --no-run, or verify the release itself, not a file of it or all apps of its owner, on a machine that has a builder")),
		usage.On(usage.Is[*measure.UnmeasuredError], "E-UNMEASURED", usage.ExitUnmeasured, adviceOf[*buildkit.NoBuilderError]),
		usage.On(usage.Is[*buildkit.AddressError], "E-USAGE", usage.ExitUsage, adviceOf[*buildkit.AddressError]),
		usage.On(usage.Is[*buildkit.NoBuilderError], "E-BUILDER", usage.ExitUsage, adviceOf[*buildkit.NoBuilderError]),
		usage.On(usage.Is[*buildkit.StateError], "E-STATE", usage.ExitUsage, usage.Say("remove the state folder if it should be yours (it is a cache), or name one that only you can write to with MRELEASE_STATE")),
		usage.On(usage.Is[*buildkit.ChangedError], "E-CACHE-CHANGED", usage.ExitUnexpected, usage.Say("run the same command again: it begins the cache anew; find out who may write to the state folder")),
		usage.On(usage.Is[*buildkit.ToolchainError], "E-TOOLCHAIN", usage.ExitUsage, adviceOf[*buildkit.ToolchainError]),
		usage.On(either[*buildkit.ScanError, *sbom.Error], "E-SCAN", usage.ExitUnexpected, usage.Say("name another scanner in attest.sbom, one that speaks BuildKit's SBOM scanning protocol and writes SPDX in JSON (docker/buildkit-syft-scanner does), or leave it out")),
		usage.On(usage.Is[*buildkit.BuildError], "E-BUILD", usage.ExitUnexpected, adviceOf[*buildkit.BuildError]),
		usage.On(usage.Is[*buildkit.MaterialError], "E-BUILD", usage.ExitUnexpected, usage.Say("give the source a digest (ADD --checksum, FROM name@sha256:…), or build with the embedded builder")),
		usage.On(usage.Is[*buildkit.IgnoreError], "E-CONFIG", usage.ExitUsage, usage.Say("correct the line above")),
		usage.On(usage.Is[*buildkit.OutputError], "E-OUTPUT", usage.ExitUsage, usage.Say("move away what is there, if it is not needed, or run in another folder")),
		usage.On(usage.Is[*buildkit.UserError], "E-MEASURE-ENTRYPOINT", usage.ExitMeasurement, usage.Say("build the image with that user, or with its number in USER")),

		usage.On(usage.Is[*document.Error], "E-USAGE", usage.ExitUsage, usage.Say("name the record that a release wrote (dist/record.json), the plan that plan -o wrote, or what else the command takes: its --help says what")),
		usage.On(usage.Is[*compare.IrreproducibleError], "E-NOT-REPRODUCIBLE", usage.ExitDiffers, adviceOf[*compare.IrreproducibleError]),
		usage.On(usage.Is[*lock.DriftError], "E-ENCLAVE-DRIFT", usage.ExitMeasurement, usage.Say("mrelease accept, if the change is meant (then commit "+lock.Name+"); else revert it")),
		usage.On(usage.Is[*release.OtherAppError], "E-OTHER-APP", usage.ExitPolicy, usage.Say("name what is this app's, or the other app's configuration with --config")),
		usage.On(usage.Is[*lock.Error], "E-LOCK", usage.ExitUsage, usage.Say("take "+lock.Name+" from git again, or delete it and run mrelease accept")),

		usage.On(usage.Is[*buildkit.NoProgramError], "E-MEASURE-ENTRYPOINT", usage.ExitMeasurement, usage.Say("give the Dockerfile an ENTRYPOINT that starts the enclave's own program")),
		usage.On(usage.Is[*enclave.OpenError], "E-USAGE", usage.ExitUsage, usage.Say("mrelease measure --help")),
		usage.On(usage.Is[*enclave.ExpectedError], "E-MEASURE-EXPECTED", usage.ExitMeasurement, usage.Say("do not use it as what was expected: take the file from its maker again, or correct --expect")),
		usage.On(usage.Is[*enclave.MismatchError], "E-ENCLAVE-CHANGED", usage.ExitMeasurement, usage.Say("the file was changed after it was signed, or carries the signature of another enclave: sign it again, or take it from its maker again")),
		usage.On(usage.Is[*sgx.SignatureError], "E-ENCLAVE-SIGNATURE", usage.ExitSignature, usage.Say("the SIGSTRUCT was changed after signing: take the file from its maker again")),
		usage.On(usage.Is[*enclave.UnsignedError], "E-ENCLAVE-UNSIGNED", usage.ExitMeasurement, usage.Say("sign the enclave with its SDK's tool first (sgx_sign, oesign)")),
		usage.On(usage.Is[*enclave.NoSignatureError], "E-ENCLAVE-NONE", usage.ExitMeasurement, usage.Say("give a signed enclave, an SGXS stream or a SIGSTRUCT; for an image, its reference or the folder of its OCI layout")),
		usage.On(usage.Is[*enclave.SignatureOnlyError], "E-ENCLAVE-SIGNATURE-ONLY", usage.ExitUnmeasured, adviceOf[*enclave.SignatureOnlyError]),
		usage.On(usage.Is[*enclave.UnmeasurableError], "E-ENCLAVE-UNMEASURED", usage.ExitMeasurement, usage.Say("do not take its signature for a measurement: take the file from its maker again; if it is as its maker made it, measure it with the tool of the SDK that made it")),
		usage.On(usage.Is[*sgx.LimitError], "E-ENCLAVE-LIMIT", usage.ExitMeasurement, usage.Say("the file asks for more than enclaves need; if it is one all the same, allow more with --hash-limit, where that is the limit above")),
		usage.On(usage.Is[*enclave.FileError], "E-ENCLAVE-FILE", usage.ExitMeasurement, usage.Say("the file is damaged or no enclave: take it from its maker again")),
		usage.On(usage.Is[*measure.UntrustedError], "E-ENCLAVE-TRUST", usage.ExitMeasurement, usage.Say("let ENTRYPOINT start the enclave's own program, from a base image that is pinned by its digest (FROM …@sha256, build.bases); enclave.trust: stated, or verify --trust stated, takes any program's word")),
		usage.On(usage.Is[*measure.UnsignedError], "E-ENCLAVE-UNSIGNED", usage.ExitMeasurement, usage.Say("enclave.program must be the file that the seal signed: the program itself, not a link to it")),
		usage.On(usage.Is[*sgx.PolicyError], "E-ENCLAVE-POLICY", usage.ExitPolicy, usage.Say("sign with a production key (enclave.key) that is in enclave.signers, and with an enclave.isvsvn that is no lower than the accepted one; enclave.allow-debug: true releases a debug enclave, whose memory is open")),
		usage.On(usage.Is[*sgx.KeyError], "E-ENCLAVE-KEY", usage.ExitUsage, usage.Say("make a key that enclaves can be signed with: openssl genrsa -3 -out enclave-key.pem 3072")),
		usage.On(usage.Is[*measure.MismatchError], "E-MEASURE-MISMATCH", usage.ExitMeasurement, usage.Say("build with --no-cache; if the values still differ, the fingerprint was written before the last change of what is measured: move that step to the end of the Dockerfile")),
		usage.On(usage.Is[*measure.OutputError], "E-MEASURE-OUTPUT", usage.ExitMeasurement, usage.Say("the image's ENTRYPOINT must start the enclave's own program, which prints 64 hex digits in hash mode and nothing else on standard output")),
		usage.On(usage.Is[*measure.TimeoutError], "E-MEASURE-TIMEOUT", usage.ExitMeasurement, usage.Say("check that the ENTRYPOINT starts the enclave's own program, which ends by itself in hash mode; a slow one needs a higher enclave.timeout")),
		usage.On(usage.Is[*measure.NoSealError], "E-MEASURE-SEAL", usage.ExitMeasurement, usage.Say("write the fingerprint to the file of enclave.fingerprint-file in the image, or build with --no-cache so that the line is printed")),
		usage.On(usage.Is[*measure.FileError], "E-MEASURE-FILE", usage.ExitMeasurement, usage.Say("make the file that enclave.fingerprint-file or enclave.program names a regular file of the image: it is what a process in its container would read")),
		usage.On(either[*buildkit.ExtractError, *measure.LayerError], "E-IMAGE-EXTRACT", usage.ExitMeasurement, usage.Say("build the image again with another builder: no runtime can make its files of such layers")),
		usage.On(usage.Is[*measure.FormatError], "E-MEASURE-FORMAT", usage.ExitMeasurement, usage.Say("correct the step of the Dockerfile that writes the fingerprint: KEY (64 hex digits)|TAG (32)|MRENCLAVE (64)")),

		usage.On(usage.Is[*proof.Error], "E-PROOF", usage.ExitChain, usage.Say("compare the block's hash with your source of it; else take the file for one that proves nothing, and verify the release itself")),
		usage.On(usage.Is[*evidence.Error], "E-EVIDENCE", usage.ExitUsage, usage.Say("take the file again from who made it (mrelease verify --save): any change makes it invalid")),
		usage.On(usage.Is[*evidence.AbsentError], "E-EVIDENCE", usage.ExitUsage, usage.Say("take the file again from who made it (mrelease verify --save): something was cut out")),
		usage.On(usage.Is[*record.Error], "E-RECORD", usage.ExitSignature, usage.Say("take the record from its release again: any change makes it invalid")),
		usage.On(usage.Is[*record.UnrecordedError], "E-UNRECORDED", usage.ExitSignature, usage.Say("ask the app's owner for the record's file, or to run mrelease release of the same version, which puts it there; an app that was given away has the one of its former owner")),
		usage.On(usage.Is[*record.UncheckedError], "E-UNCHECKED", usage.ExitSignature, usage.Say("give what it lacks, as the line says; who runs the repository can remove a crowd of statements")),
		usage.On(usage.Is[*release.TargetError], "E-USAGE", usage.ExitUsage, adviceOf[*release.TargetError]),
		usage.On(usage.Is[*release.UnreadError], "E-FILE", usage.ExitUsage, adviceOf[*release.UnreadError]),
		usage.On(usage.Is[*record.MovedError], "E-IMAGE-MOVED", usage.ExitSignature, usage.Say("the registry serves another image than was released: do not run it")),
		usage.On(usage.Is[*record.ContentError], "E-IMAGE-CONTENT", usage.ExitSignature, usage.Say("the registry serves other bytes than were released: do not run the image")),
		usage.On(usage.Is[*registry.UnsignedError], "E-SIGNATURE", usage.ExitSignature, usage.Say("check that the key is the one the release was signed with")),
		usage.On(usage.Is[*registry.ControlError], "E-CONTROL", usage.ExitSignature, usage.Say("do not trust what this program verified: take it from its maker again, and report this output")),
		usage.On(usage.Is[*registry.UnattestedError], "E-PROVENANCE", usage.ExitSignature, usage.Say("check that record and key are the release's; mrelease release of the same version adds a provenance that is missing")),
		usage.On(usage.Is[*record.ReferenceError], "E-REFERENCE", usage.ExitSignature, usage.Say("do not appraise quotes by it: ask who has the image's key which measurement is the release's; a statement that is wrong is removed by who runs the repository, and mrelease release of the same version adds the right one")),
		usage.On(usage.Is[*record.VEXError], "E-VEX", usage.ExitSignature, usage.Say("do not take the image for assessed: ask who has its key; who runs the repository can remove a statement that is wrong, and mrelease release of the same version adds the one of attest.vex that is missing")),
		usage.On(usage.Is[*release.StaleVEXError], "E-VEX-VERSION", usage.ExitPolicy, usage.Say("count up the version in the document, as OpenVEX asks for with each change")),
		usage.On(usage.Is[*record.PolicyError], "E-POLICY", usage.ExitPolicy, usage.Say("do not use it; or change the policy, if what it does not accept is to be accepted")),
		usage.On(usage.Is[*record.SBOMError], "E-SBOM", usage.ExitSignature, usage.Say("do not take the list for the release's; mrelease release of the same version adds one that is missing")),
		usage.On(usage.Is[*release.TimeError], "E-VERSION-TAKEN", usage.ExitPolicy, adviceOf[*release.TimeError]),
		usage.On(usage.Is[*registry.TakenError], "E-VERSION-TAKEN", usage.ExitPolicy, usage.Say("release the changed source under a new version, or check out the commit of the old one")),
		usage.On(usage.Is[*registry.OvertakenError], "E-OVERTAKEN", usage.ExitNetwork, usage.Say("run the same command again: it takes the image that is there")),
		usage.On(usage.Is[*registry.MissingError], "E-IMAGE-MISSING", usage.ExitNetwork, usage.Say("check the reference; if the image was taken away, its owner can push it again, with the same digest")),
		usage.On(usage.Is[*registry.LoginError], "E-REGISTRY-LOGIN", usage.ExitNetwork, adviceOf[*registry.LoginError]),
		usage.On(usage.Is[*registry.PushError], "E-REGISTRY-LOGIN", usage.ExitNetwork, adviceOf[*registry.PushError]),
		usage.On(usage.Is[*registry.UnkeptError], "E-REGISTRY-SIGNATURES", usage.ExitNetwork, usage.Say("set sign.layout: tags, which keeps signatures as cosign's older versions did (all of its versions read them), or push to another registry")),
		usage.On(usage.Is[*registry.SilentError], "E-REGISTRY", usage.ExitNetwork, usage.Say("check the address in image, and the network")),
		usage.On(locked[*keys.Error], "E-SIGN-KEY", usage.ExitUsage, usage.Say("set "+keys.CosignPassword+" to the password of the key in sign.key, with which cosign generate-key-pair made it")),
		usage.On(unsetKey, "E-SIGN-KEY", usage.ExitUsage, usage.Say("set the variable above to the key, or name another place of it: sign.key, enclave.key")),
		usage.On(unread[*keys.Error], "E-SIGN-KEY", usage.ExitUsage, usage.Say("correct sign.key (sign.public-key, enclave.key) or the rights of the file, or make a key: cosign generate-key-pair")),
		usage.On(either[*keyless.IdentityError, *ci.PullRequestError], "E-IDENTITY", usage.ExitPolicy, usage.Say("nothing was signed: run the workflow that sign.keyless names, or correct sign.keyless.issuer and identity; runs for proposed changes sign with allow-pull-requests only")),
		usage.On(usage.Is[*ci.TokenError], "E-IDENTITY-TOKEN", usage.ExitUsage, adviceOf[*ci.TokenError]),
		usage.On(usage.Is[*keyless.TokenError], "E-IDENTITY-TOKEN", usage.ExitUsage, usage.Say("give the job a token of its own that is valid until the image is signed: nobody is asked for one")),
		usage.On(either[*keyless.RootError, *record.RootlessError], "E-TRUSTED-ROOT", usage.ExitUsage, usage.Say("name a trusted root with sign.trusted-root, or verify --trusted-root: who runs the certificate authority has it; of the public one, cosign trusted-root create writes it")),
		usage.On(usage.Is[*keyless.ConfigError], "E-SIGNING-CONFIG", usage.ExitUsage, usage.Say("name a signing configuration with a certificate authority and a timestamp authority in sign.keyless.signing-config (cosign signing-config create writes one)")),
		usage.On(usage.Is[*keyless.ServiceError], "E-SIGSTORE", usage.ExitNetwork, usage.Say("wait and run the same command again: what is done is found")),
		usage.On(usage.Is[*keys.Error], "E-SIGN-KEY", usage.ExitUsage, usage.Say("sign.key must be a cosign key (cosign generate-key-pair) of type ECDSA P-256 or RSA, and "+keys.CosignPassword+" its password")),
		usage.On(usage.Is[*preflight.ClockError], "E-CLOCK", usage.ExitUsage, usage.Say("set the clock: timedatectl set-ntp true")),
		usage.On(oddWallet, "E-WALLET", usage.ExitUsage, usage.Say("nobody makes such a keystore file for use: take it from its maker again, or write it anew with iexec wallet import")),
		usage.On(unread[*node.WalletError], "E-WALLET", usage.ExitUsage, usage.Say("correct wallet.keystore or the rights of the file, or make a wallet: iexec wallet create --keystoredir .")),
		usage.On(locked[*node.WalletError], "E-WALLET", usage.ExitUsage, usage.Say("set "+keys.WalletPassword+" to the password of the keystore file in wallet.keystore, and "+settings.PayerPassword+" to that of wallet.payer.keystore")),
		usage.On(usage.Is[*node.WalletError], "E-WALLET", usage.ExitUsage, usage.Say("correct what is said above of wallet.keystore, wallet.address or "+keys.WalletKey)),
		usage.On(usage.Is[*node.SignerError], "E-SIGNER", usage.ExitUsage, adviceOf[*node.SignerError]),
		usage.On(usage.Is[*kms.Error], "E-SIGNER", usage.ExitUsage, adviceOf[*kms.Error]),
		usage.On(usage.Is[*apps.SyntheticError], "E-SYNTHETIC", usage.ExitPolicy, usage.Say("build on the real base image, or choose a chain with development: true")),
		usage.On(usage.Is[*node.FundsError], "E-FUNDS", usage.ExitFunds, usage.Say("send the wallet some of the chain's native coin and run again")),
		usage.On(usage.Is[*node.FeeError], "E-FEE", usage.ExitFunds, usage.Say("wait until the chain is less busy, or raise chains.<name>.max-fee-per-gas (of a release that was approved: in a new plan), then run again: what is done is found")),
		usage.On(usage.Is[*node.NotPoCoError], "E-CHAIN-HUB", usage.ExitChain, usage.Say("correct chains.<name>.hub")),
		usage.On(usage.Is[*node.WrongChainError], "E-CHAIN-WRONG", usage.ExitChain, usage.Say("correct the id, rpc or hub of the chain")),
		usage.On(usage.Is[*apps.ConflictError], "E-APP-CONFLICT", usage.ExitChain, usage.Say("compare the fields above; an app given to another owner cannot be offered by this wallet: release a new version")),
		usage.On(either[*apps.NoAppError, *owned.NoneError], "E-APP-MISSING", usage.ExitChain, usage.Say("check the chain; mrelease release registers the app")),
		usage.On(ordered(node.SoldOut), "E-ORDER-SOLD-OUT", usage.ExitOrder, usage.Say("to offer more runs, set order.volume to a higher number and run mrelease release of the same version again: it publishes another order of the same app")),
		usage.On(ordered(node.Cancelled), "E-ORDER-CANCELLED", usage.ExitOrder, usage.Say("the order is closed for good, by its owner or by a later release: release a new version; or mrelease order publish, or mrelease rollback, sells this one again by another order")),
		usage.On(ordered(node.Spent), "E-ORDER-SPENT", usage.ExitOrder, usage.Say("the market does not tell which (it may lag: ask again); sold out: set order.volume to a higher number and run mrelease release of the same version again; cancelled: release a new version; or mrelease order publish, or mrelease rollback, sells this one again by another order")),
		usage.On(ordered(node.Dead), "E-ORDER-DEAD", usage.ExitOrder, usage.Say("run mrelease release of the same version again, as the app's owner: it publishes the order again")),
		usage.On(usage.Is[*node.OrderError], "E-ORDER", usage.ExitOrder, usage.Say("it is not the release's order that is offered: compare the values above, and ask who runs the market")),
		usage.On(usage.Is[*node.RPCError], "E-RPC", usage.ExitRPC, usage.Say("check the chain's rpc and run the same command again: what is done is found")),
		usage.On(usage.Is[*bounds.AddressError], "E-REDIRECT", usage.ExitNetwork, usage.Say("the service, or somebody in its place, tries to reach what only this machine can: ask who runs it, and do not try again")),
		usage.On(usage.Is[*bounds.SlowError], "E-SLOW", usage.ExitNetwork, usage.Say("wait and run the same command again, or use a service that is nearer: what is done is found")),
		usage.On(fileBeyondBounds, "E-TOO-LARGE", usage.ExitUsage, usage.Say("name a smaller file: SECURITY.md has the bounds")),
		usage.On(usage.Is[*bounds.Error], "E-TOO-LARGE", usage.ExitNetwork, usage.Say("no honest service answers so much, and SECURITY.md has the bounds: check the address, and ask who runs it")),
		usage.On(usage.Is[*orders.NotOfferedError], "E-ORDER-MISSING", usage.ExitOrder, usage.Say("if it is a release's, run mrelease release of the same version again: it publishes the order; mrelease order list has those that are on sale")),
		usage.On(usage.Is[*market.FullError], "E-MARKET-FULL", usage.ExitOrder, usage.Say("close those that need not be sold (mrelease order list, order close), and run the same command again")),
		usage.On(usage.Is[*market.UnlistedError], "E-ORDER-UNLISTED", usage.ExitNetwork, usage.Say("wait, and run the same command again; if it stays so, ask who runs the market: those who look for the app do not find its order")),
		usage.On(marketRefused, "E-MARKET-REFUSED", usage.ExitOrder, usage.Say("correct what the market says above; nothing else is lost, run again")),
		usage.On(usage.Is[*market.Error], "E-MARKET", usage.ExitNetwork, usage.Say("wait and run the same command again: what is done is found")),
		usage.On(registryRefused, "E-REGISTRY-LOGIN", usage.ExitNetwork, usage.Say("log in to the registry (docker login) as a user who may do this; some registries answer so, too, where there is no such image")),
		usage.On(usage.Is[*registry.Error], "E-REGISTRY", usage.ExitNetwork, adviceOf[*registry.Error]),
		usage.On(registryFailed, "E-REGISTRY", usage.ExitNetwork, usage.Say("wait and run the same command again: what is done is found")),
		usage.On(registry.IsDown, "E-NETWORK", usage.ExitNetwork, usage.Say("check the address and run the same command again: what is done is found")),
		usage.On(usage.IsFullDisk, "E-FILE", usage.ExitUsage, usage.Say("make room on the disk of the file above, then run again: what is done is found")),
		usage.On(usage.IsFile, "E-FILE", usage.ExitUsage, usage.Say("name a file or folder that is there and that you may use, or make it so, then run again: what is done is found")),
	}
}

// unsetKey matches a key whose variable of the environment is not set.
func unsetKey(err error) bool { return usage.Is[*keys.Error](err) && usage.Is[*keys.UnsetError](err) }

// oddWallet matches a keystore file that is not opened for what that takes.
func oddWallet(err error) bool {
	return usage.Is[*node.ParameterError](err) || usage.Is[*node.WalletError](err) && usage.Is[*bounds.Error](err)
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

// marketRefused matches a market's refusal, which a second try will not change.
func marketRefused(err error) bool {
	var me *market.Error
	return errors.As(err, &me) && me.Status >= 400 && me.Status < 500 && me.Status != 429
}

// registryFailed matches a registry's answer that is an error, for no reason that has a
// code.
func registryFailed(err error) bool { return usage.Is[*transport.Error](err) }

// registryRefused matches a registry that does not let this login, or nobody, do what was
// asked.
func registryRefused(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && (te.StatusCode == 401 || te.StatusCode == 403)
}
