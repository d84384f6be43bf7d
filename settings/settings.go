// Package settings reads mrelease.yaml: what to release, from what, and where to.
// The struct is the schema: the decoder, the JSON schema and the table of
// keys follow from the types of its fields and their tags yaml and doc. It looks at
// local files only, reads no environment itself and knows no secret.
package settings

import (
	"cmp"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
)

// Settings are what mrelease.yaml, the environment and the flags say. They are filled
// once and not written to afterwards. The tags yaml and doc of its fields are
// what the JSON schema and docs/configuration.md say of each key.
type Settings struct {
	Image    Repository       `yaml:"image" doc:"repository to push to, without tag (required)"`
	Name     Name             `yaml:"name" doc:"the app's name on the chain; the last part of image when it is not set"`
	Build    Build            `yaml:"build" doc:"what the image is made from"`
	Enclave  Enclave          `yaml:"enclave" doc:"what the chain stores about the enclave"`
	Sign     Sign             `yaml:"sign" doc:"how the image is signed"`
	Attest   Attest           `yaml:"attest" doc:"what else is attested of the image, with the key or identity that signs it"`
	Chain    string           `yaml:"chain" doc:"name of the chain to register on: built in, or one of chains (required)"`
	Chains   map[string]Chain `yaml:"chains" doc:"chains of your own, and changes to the built-in ones"`
	Wallet   Wallet           `yaml:"wallet" doc:"the wallet of the app's owner"`
	Secret   Secret           `yaml:"app-secret" doc:"the app's secret, which each release gives to the chain's secret service for its own app: env or file"`
	App      App              `yaml:"app" doc:"where else the app of the latest release is known"`
	Order    Order            `yaml:"order" doc:"the terms of the app's order"`
	Canary   Canary           `yaml:"canary" doc:"a run of the app that its owner buys before its order is offered"`
	Record   Path             `yaml:"record" doc:"file that the record is written to"`
	Project  Path             `yaml:"project" doc:"folder of a project of iExec's command line: each release writes its app and order into iexec.json, deployed.json and orders.json there; they stay as they are when it is not set"`
	Builders Builders         `yaml:"builders" doc:"daemons of BuildKit that build, the same for all apps: a list, of addresses or of address, ca, cert, key and builds; each app goes to one of them, the same each time; --builder and BUILDKIT_HOST come before it"`
	Apps     Apps             `yaml:"apps" doc:"the apps of a repository that has several: a list, each with a name of its own, and of image, build, enclave, attest, app-secret, order, canary, record and project what is not as the file has it for all; a record is dist/NAME/record.json when it is not set"`
}

// Build says what the image is made from.
type Build struct {
	Context    Path              `yaml:"context" doc:"folder to build"`
	Dockerfile Path              `yaml:"dockerfile" doc:"Dockerfile; the one in the context when it is not set"`
	Target     string            `yaml:"target" doc:"stage to build; the last one when it is not set"`
	Args       map[string]string `yaml:"args" doc:"build arguments"`
	Contexts   map[string]string `yaml:"contexts" doc:"named contexts: docker-image://REFERENCE, oci-layout:///FOLDER@sha256:DIGEST, or a folder"`
	Bases      map[string]Pin    `yaml:"bases" doc:"digests that FROM references are pinned to, such as python:3.12: sha256:…"`
	Secrets    map[string]Secret `yaml:"secrets" doc:"BuildKit secrets: where the value of each id is"`
	Network    Network           `yaml:"network" doc:"what RUN steps may reach"`

	Compression Compression `yaml:"compression" doc:"of new layers; zstd is faster, and mostly smaller, but a worker whose Docker is older than 23.0 may not be able to pull it"`

	Cache Cache `yaml:"cache" doc:"steps of builds that a registry keeps"`
}

// Secret says where a secret is; it never holds one.
type Secret struct {
	Env  string `yaml:"env" doc:"environment variable with the value"`
	File Path   `yaml:"file" doc:"file with the value"`
}

// App says where else the app of the latest release is known.
type App struct {
	ENS    ENSName   `yaml:"ens" doc:"name in ENS that each release makes lead to its app, such as hello.apps.iexec.eth; the wallet must have it"`
	Groups Addresses `yaml:"groups" doc:"contracts (ERC-734) of groups of apps, to which orders of others are restricted: each release adds its app; the wallet must manage them"`
}

// Enclave says what the chain stores about the enclave, and who seals the image.
type Enclave struct {
	Format     measure.Format `yaml:"format" doc:"what the chain stores: legacy (KEY|TAG|MRENCLAVE), json (an object), or none (TDX)"`
	File       string         `yaml:"fingerprint-file" doc:"path of the fingerprint file in the image"`
	Timeout    Duration       `yaml:"timeout" doc:"time limit for measuring"`
	Trust      measure.Trust  `yaml:"trust" doc:"the least that a measurement must rest on: computed (from a signature in the program), known (printed by a program of a trusted base image), or stated (by whatever the image starts)"`
	Seal       SealMode       `yaml:"seal" doc:"who seals the image: dockerfile (its own steps), or mrelease with fspf or binary-fs"`
	Toolchain  string         `yaml:"toolchain" doc:"image with the tools for sealing: docker-image://NAME@sha256:DIGEST or oci-layout:///FOLDER@sha256:DIGEST"`
	Regions    List           `yaml:"regions" doc:"folders that the seal protects; with fspf /usr, /bin, /lib, /sbin and /app when not set, with binary-fs /app"`
	Program    string         `yaml:"program" doc:"with seal binary-fs: path of the enclave's program in the image"`
	Stack      Size           `yaml:"stack" doc:"with seal binary-fs: stack of a thread"`
	Dlopen     uint64         `yaml:"dlopen" doc:"with seal binary-fs: 0 loads no libraries at run time, 1 protected ones, 2 any"`
	Mprotect   bool           `yaml:"mprotect" doc:"with seal binary-fs: the program may change the protection of its pages"`
	Key        Path           `yaml:"key" doc:"with seal binary-fs: production key, an RSA-3072 key with exponent 3 in PEM, or env://VARIABLE; without it a debug enclave is signed"`
	ProductID  uint64         `yaml:"isvprodid" doc:"with seal binary-fs: product id in the signature"`
	SVN        uint64         `yaml:"isvsvn" doc:"with seal binary-fs: security version in the signature"`
	AllowDebug bool           `yaml:"allow-debug" doc:"release an enclave that is signed for debug mode, whose memory is open"`
	Signers    List           `yaml:"signers" doc:"MRSIGNER values that a signed enclave may have; any when not set"`
	Framework  string         `yaml:"framework" doc:"with format json: its framework, in upper case"`
	Version    string         `yaml:"version" doc:"with format json: its version, such as v5.9"`
	Entrypoint string         `yaml:"entrypoint" doc:"with format json: its entrypoint, where its framework has one"`
	Heap       Size           `yaml:"heap" doc:"heap of the enclave, in bytes or as 1G: the heapSize of format json where its framework has one, and what seal binary-fs signs"`
}

// Sign says how the image is signed.
type Sign struct {
	Key         Path            `yaml:"key" doc:"cosign key file, env://VARIABLE, or a key on P-256 in a key service: awskms://[HOST]/KEY (AWS), gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K (Google; or a version of it), azurekms://VAULT.vault.azure.net/KEY (Azure; or KEY/VERSION) or hashivault://KEY (Vault's transit engine) (required, or sign.keyless)"`
	PublicKey   Path            `yaml:"public-key" doc:"file of the public half that sign.key must have, in PEM: what is signed already is then known without opening it; NAME.pub beside a file NAME.key when it is not set"`
	Keyless     Keyless         `yaml:"keyless" doc:"sign with the identity of the CI job, in place of a key"`
	TrustedRoot Path            `yaml:"trusted-root" doc:"with keyless: file of the certificate and timestamp authorities that are trusted, in Sigstore's JSON"`
	Layout      registry.Layout `yaml:"layout" doc:"how signatures are kept: referrers (OCI 1.1), or tags (cosign's older layout, for a registry that cannot list referrers)"`
}

// Attest says what else is attested of the image.
type Attest struct {
	SBOM string `yaml:"sbom" doc:"image with a scanner that lists what is in the released image (BuildKit's SBOM scanning protocol): docker-image://NAME@sha256:DIGEST or oci-layout:///FOLDER@sha256:DIGEST; nothing is listed when it is not set"`
	VEX  Path   `yaml:"vex" doc:"file with a document of OpenVEX 0.2.0 in JSON, which says what vulnerabilities are to the released image; a newer one is attested by releasing the same version again"`
}

// Keyless says whose identity signs. Nothing of it is secret.
type Keyless struct {
	Token        string `yaml:"token" doc:"where the identity token is from: github (the job needs id-token: write), gitlab (id_tokens: SIGSTORE_ID_TOKEN), or env://VARIABLE"`
	Issuer       URL    `yaml:"issuer" doc:"issuer that the token must name, such as https://token.actions.githubusercontent.com"`
	Identity     string `yaml:"identity" doc:"identity that the certificate must name, such as https://github.com/OWNER/REPOSITORY/.github/workflows/release.yml; without @REF it is that of any tag or branch"`
	Audience     string `yaml:"audience" doc:"audience of the token; sigstore when it is not set"`
	Config       Path   `yaml:"signing-config" doc:"file of the services to sign with, in Sigstore's JSON, or public for Sigstore's public instance, which publishes repository, workflow and commit"`
	PullRequests bool   `yaml:"allow-pull-requests" doc:"sign in runs for pull and merge requests too"`
}

// PublicServices is the signing-config that is no file.
const PublicServices = "public"

// Chain describes a chain, or changes of a built-in one.
type Chain struct {
	ID          uint64         `yaml:"id" doc:"chain id"`
	RPC         URLs           `yaml:"rpc" doc:"URL of a node, or a list of several, which must agree"`
	Hub         common.Address `yaml:"hub" doc:"address of the PoCo hub"`
	Market      URL            `yaml:"market" doc:"URL of the market"`
	SMS         URL            `yaml:"sms" doc:"URL of the secret service, for requesters and for the app's secret"`
	Gateway     URL            `yaml:"gateway" doc:"URL of the IPFS gateway that results are downloaded from, for requesters and canaries"`
	ENS         common.Address `yaml:"ens" doc:"address of the registry of names (ENS), where the chain has one: apps, workerpools and datasets can then be named in requests, and apps for verify"`
	Fees        poco.Fees      `yaml:"fees" doc:"how transactions are paid: legacy (type 0 at price 0) or eip1559"`
	MaxFee      uint64         `yaml:"max-fee-per-gas" doc:"what a transaction offers for a unit of gas at most, in wei; ten times its first offer when not set"`
	Confirm     uint64         `yaml:"confirmations" doc:"blocks, its own among them, after which a transaction counts; 1 when not set"`
	Development bool           `yaml:"development" doc:"take measurements of stand-in toolchains"`
}

// Wallet says which wallet is the owner's.
type Wallet struct {
	Keystore    Path           `yaml:"keystore" doc:"keystore file of version 3, or a folder of them (required, or wallet.clef or wallet.kms)"`
	Clef        Path           `yaml:"clef" doc:"socket or http:// URL of Clef, go-ethereum's external signer, which has the key"`
	KMS         KMSKey         `yaml:"kms" doc:"key in a cloud's key service: awskms:///KEY (AWS; an id, alias/NAME, or the ARN of either), awskms://HOST/KEY, or gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V (Google)"`
	Address     common.Address `yaml:"address" doc:"which of a folder's wallets, or of Clef's (required with it); with kms what the key's address must be"`
	AllowRawKey bool           `yaml:"allow-raw-key" doc:"take a raw key from MRELEASE_WALLET_KEY"`
	Safe        common.Address `yaml:"safe" doc:"a Safe, or another contract that can call the hub, in place of a key: it owns the apps, wallet.payer registers them (required with it), and what it has to call is written to a file"`
	Payer       Payer          `yaml:"payer" doc:"another wallet, which sends the transactions and pays for them; the wallet itself when it is not set"`
}

// IsSafe reports whether a contract is the owner, which signs nothing.
func (w Wallet) IsSafe() bool { return w.Safe != common.Address{} }

// Payer says which wallet pays, in the same forms as the owner's.
type Payer struct {
	Keystore    Path           `yaml:"keystore" doc:"keystore file of version 3, or a folder of them"`
	Clef        Path           `yaml:"clef" doc:"socket or http:// URL of Clef, which has the key"`
	KMS         KMSKey         `yaml:"kms" doc:"key in a cloud's key service, as wallet.kms"`
	Address     common.Address `yaml:"address" doc:"which of a folder's wallets, or of Clef's (required with it)"`
	AllowRawKey bool           `yaml:"allow-raw-key" doc:"take a raw key from MRELEASE_WALLET_PAYER_KEY"`
}

// Wallet returns the payer as a wallet, which has no payer of its own.
func (p Payer) Wallet() Wallet {
	return Wallet{Keystore: p.Keystore, Clef: p.Clef, KMS: p.KMS, Address: p.Address, AllowRawKey: p.AllowRawKey}
}

// Order are the terms of the app's order.
type Order struct {
	Price              uint64         `yaml:"price" doc:"nRLC per run"`
	Volume             uint64         `yaml:"volume" doc:"number of runs"`
	Tag                poco.Tag       `yaml:"tag" doc:"what a run needs: 0x and hex digits, or names of bits"`
	DatasetRestrict    common.Address `yaml:"datasetrestrict" doc:"the one dataset, or group of them, that may be used; any when it is not set"`
	WorkerpoolRestrict common.Address `yaml:"workerpoolrestrict" doc:"the one workerpool, or group of them, that may run the app; any when it is not set"`
	RequesterRestrict  common.Address `yaml:"requesterrestrict" doc:"the one requester, or group of them, that may buy runs; any when it is not set"`
	Retire             orders.Retire  `yaml:"retire" doc:"what becomes of the orders of earlier releases, and of other orders of the same: close (on chain, for good), unpublish (out of the market, but whoever has one can still have it matched), or keep"`
	Overlap            Duration       `yaml:"overlap" doc:"time for which the orders of earlier releases stay on sale beside the new one; a later run of the release retires them"`
}

// Defaults are the settings that hold when nothing else is said.
func Defaults() Settings {
	return Settings{
		Build: Build{Context: ".", Network: buildkit.NetworkHost, Compression: buildkit.CompressionGzip, Cache: Cache{Mode: buildkit.StepsMax, Timeout: Duration(2 * time.Minute)}},
		Enclave: Enclave{
			Format: measure.Legacy, File: "/conf/fingerprint.txt", Timeout: Duration(time.Minute), Trust: measure.TrustKnown,
			Seal: SealDockerfile, Stack: 1 << 20, Dlopen: 1,
		},
		Sign:   Sign{Layout: registry.Referrers},
		Order:  Order{Volume: 1_000_000, Tag: poco.TEE(), Retire: orders.RetireClose},
		Canary: Canary{Timeout: Duration(time.Hour), JudgeTimeout: Duration(time.Minute)},
		Record: "dist/record.json",
	}
}

// DockerfilePath returns the Dockerfile's path.
func (s Settings) DockerfilePath() string {
	if s.Build.Dockerfile != "" {
		return string(s.Build.Dockerfile)
	}
	return filepath.Join(string(s.Build.Context), "Dockerfile")
}

// AppName returns the app's name on the chain.
func (s Settings) AppName() string {
	if s.Name != "" {
		return string(s.Name)
	}
	return path.Base(s.Image.RepositoryStr())
}

func builtinChain(name string) (poco.Chain, bool) {
	for _, p := range poco.Chains() {
		if p.Name == name {
			return p, true
		}
	}
	return poco.Chain{}, false
}

// ChainNames returns the chains that a release can name: those built in and those of the
// configuration, in order.
func (s Settings) ChainNames() []string {
	names := slices.Collect(maps.Keys(s.Chains))
	for _, p := range poco.Chains() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// NearestChain says which chain was meant by a misspelt name, or by an id in its place.
func (s Settings) NearestChain() string {
	known := s.ChainNames()
	for _, name := range known {
		if p, _ := s.Profile(name); strconv.FormatUint(p.ID, 10) == s.Chain {
			return "the name of that one is " + name
		}
	}
	if near := Nearest(strings.ToLower(s.Chain), known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// IsDevelopment reports whether the chain to release to is one for development.
func (s Settings) IsDevelopment() bool {
	p, ok := s.Profile(s.Chain)
	return ok && p.IsDevelopment()
}

// Profile returns a chain by its name: built in, from the configuration, or
// built in with another node or market. What a built-in chain is cannot be changed.
func (s Settings) Profile(chain string) (poco.Chain, bool) {
	own, isOwn := s.Chains[chain]
	p, isBuiltin := builtinChain(chain)
	if !isOwn && !isBuiltin {
		return poco.Chain{}, false
	}
	if !isBuiltin {
		p = poco.Chain{Name: chain, ID: own.ID, Hub: own.Hub}
	}
	if len(own.RPC) > 0 {
		p.RPC, p.Spare = own.RPC[0], own.RPC[1:]
	}
	p.Market = cmp.Or(string(own.Market), p.Market)
	p.SMS = cmp.Or(string(own.SMS), p.SMS)
	p.Gateway = cmp.Or(string(own.Gateway), p.Gateway)
	p.ENS = cmp.Or(own.ENS, p.ENS)
	p.Fees = cmp.Or(own.Fees, p.Fees)
	p.MaxFeePerGas, p.Confirmations = own.MaxFee, own.Confirm
	p.Development = own.Development
	return p, true
}
