package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// config is what mrelease.yaml, the environment and the flags say. It is filled
// once and not written to afterwards. The tags yaml and doc of its fields are
// what the JSON schema and README.md say of each key.
type config struct {
	Image   repository             `yaml:"image" doc:"repository to push to, without tag (required)"`
	Name    string                 `yaml:"name" doc:"the app's name on the chain; the last part of image when it is not set"`
	Build   buildConfig            `yaml:"build" doc:"what the image is made from"`
	Enclave enclaveConfig          `yaml:"enclave" doc:"what the chain stores about the enclave"`
	Sign    signConfig             `yaml:"sign" doc:"how the image is signed"`
	Chain   string                 `yaml:"chain" doc:"name of the chain to register on: built in, or one of chains (required)"`
	Chains  map[string]chainConfig `yaml:"chains" doc:"chains of your own, and changes to the built-in ones"`
	Wallet  walletConfig           `yaml:"wallet" doc:"the wallet of the app's owner"`
	Order   orderConfig            `yaml:"order" doc:"the terms of the app's order"`
	Record  filePath               `yaml:"record" doc:"file that the record is written to"`
}

type buildConfig struct {
	Context    filePath                `yaml:"context" doc:"folder to build"`
	Dockerfile filePath                `yaml:"dockerfile" doc:"Dockerfile; the one in the context when it is not set"`
	Target     string                  `yaml:"target" doc:"stage to build; the last one when it is not set"`
	Args       map[string]string       `yaml:"args" doc:"build arguments"`
	Contexts   map[string]string       `yaml:"contexts" doc:"named contexts: docker-image://REFERENCE, oci-layout:///FOLDER@sha256:DIGEST, or a folder"`
	Bases      map[string]pin          `yaml:"bases" doc:"digests that FROM references are pinned to, such as python:3.12: sha256:…"`
	Secrets    map[string]secretConfig `yaml:"secrets" doc:"BuildKit secrets: where the value of each id is"`
	Network    network                 `yaml:"network" doc:"what RUN steps may reach"`
}

// secretConfig says where a secret is; it never holds one.
type secretConfig struct {
	Env  string   `yaml:"env" doc:"environment variable with the value"`
	File filePath `yaml:"file" doc:"file with the value"`
}

type enclaveConfig struct {
	Format     measure.Format `yaml:"format" doc:"what the chain stores: legacy (KEY|TAG|MRENCLAVE), json (an object), or none (TDX)"`
	File       string         `yaml:"fingerprint-file" doc:"path of the fingerprint file in the image"`
	Timeout    duration       `yaml:"timeout" doc:"time limit for measuring"`
	Seal       sealMode       `yaml:"seal" doc:"who seals the image: dockerfile (its own steps), or mrelease with fspf or binary-fs"`
	Toolchain  string         `yaml:"toolchain" doc:"image with the tools for sealing: docker-image://NAME@sha256:DIGEST or oci-layout:///FOLDER@sha256:DIGEST"`
	Regions    list           `yaml:"regions" doc:"folders that the seal protects; with fspf /usr, /bin, /lib, /sbin and /app when not set, with binary-fs /app"`
	Program    string         `yaml:"program" doc:"with seal binary-fs: path of the enclave's program in the image"`
	Stack      size           `yaml:"stack" doc:"with seal binary-fs: stack of a thread"`
	Dlopen     uint64         `yaml:"dlopen" doc:"with seal binary-fs: 0 loads no libraries at run time, 1 protected ones, 2 any"`
	Mprotect   bool           `yaml:"mprotect" doc:"with seal binary-fs: the program may change the protection of its pages"`
	Key        filePath       `yaml:"key" doc:"with seal binary-fs: production key, an RSA-3072 key with exponent 3 in PEM, or env://VARIABLE; without it a debug enclave is signed"`
	ProductID  uint64         `yaml:"isvprodid" doc:"with seal binary-fs: product id in the signature"`
	SVN        uint64         `yaml:"isvsvn" doc:"with seal binary-fs: security version in the signature"`
	AllowDebug bool           `yaml:"allow-debug" doc:"release an enclave that is signed for debug mode, whose memory is open"`
	Signers    list           `yaml:"signers" doc:"MRSIGNER values that a signed enclave may have; any when not set"`
	Framework  string         `yaml:"framework" doc:"with format json: its framework, in upper case"`
	Version    string         `yaml:"version" doc:"with format json: its version, such as v5.9"`
	Entrypoint string         `yaml:"entrypoint" doc:"with format json: its entrypoint"`
	Heap       size           `yaml:"heap" doc:"heap of the enclave, in bytes or as 1G: the heapSize of format json, and what seal binary-fs signs"`
}

type signConfig struct {
	Key filePath `yaml:"key" doc:"cosign key file, or env://VARIABLE (required)"`
}

type chainConfig struct {
	ID          uint64         `yaml:"id" doc:"chain id"`
	RPC         httpURL        `yaml:"rpc" doc:"URL of a node"`
	Hub         common.Address `yaml:"hub" doc:"address of the PoCo hub"`
	Market      httpURL        `yaml:"market" doc:"URL of the market"`
	Fees        poco.Fees      `yaml:"fees" doc:"how transactions are paid: legacy (type 0 at price 0) or eip1559"`
	Development bool           `yaml:"development" doc:"take measurements of stand-in toolchains"`
}

type walletConfig struct {
	Keystore    filePath       `yaml:"keystore" doc:"keystore file of version 3, or a folder of them (required)"`
	Address     common.Address `yaml:"address" doc:"which of a folder's wallets"`
	AllowRawKey bool           `yaml:"allow-raw-key" doc:"take a raw key from MRELEASE_WALLET_KEY"`
}

type orderConfig struct {
	Price              uint64         `yaml:"price" doc:"nRLC per run"`
	Volume             uint64         `yaml:"volume" doc:"number of runs"`
	Tag                poco.Tag       `yaml:"tag" doc:"what a run needs: 0x and hex digits, or names of bits"`
	DatasetRestrict    common.Address `yaml:"datasetrestrict" doc:"the one dataset, or group of them, that may be used; any when it is not set"`
	WorkerpoolRestrict common.Address `yaml:"workerpoolrestrict" doc:"the one workerpool, or group of them, that may run the app; any when it is not set"`
	RequesterRestrict  common.Address `yaml:"requesterrestrict" doc:"the one requester, or group of them, that may buy runs; any when it is not set"`
}

func defaults() config {
	return config{
		Build: buildConfig{Context: ".", Network: buildkit.NetworkHost},
		Enclave: enclaveConfig{
			Format: measure.Legacy, File: "/conf/fingerprint.txt", Timeout: duration(time.Minute),
			Seal: sealDockerfile, Stack: 1 << 20, Dlopen: 1,
		},
		Order:  orderConfig{Volume: 1_000_000, Tag: poco.TEE()},
		Record: "dist/record.json",
	}
}

// A configError holds all that is wrong with a configuration.
type configError struct{ Problems []problem }

func (e *configError) Error() string {
	if len(e.Problems) == 1 {
		return "the configuration has a problem"
	}
	return fmt.Sprintf("the configuration has %d problems", len(e.Problems))
}

// Evidence returns each problem with its place.
func (e *configError) Evidence() [][2]string {
	var facts [][2]string
	for _, p := range e.Problems {
		what := p.Text
		if p.Key != "" {
			what = p.Key + ": " + what
		}
		facts = append(facts, [2]string{p.Where, what})
	}
	return facts
}

// sources are what a configuration is read from, the later ones overriding.
type sources struct {
	Files  []string
	Getenv func(string) string
	Flags  map[string]string // key -> value
}

// purpose says which parts of the configuration a command needs.
type purpose struct{ Build, Publish bool }

// load reads and checks a configuration. Its error is a *configError with every
// problem. It looks at local files only.
func load(src sources, need purpose) (config, error) {
	c := read(src)
	c.check(need)
	return c.cfg, c.err()
}

// read decodes a configuration and keeps what is wrong with it.
func read(src sources) *checker {
	c := &checker{cfg: defaults(), files: src.Files, decoder: &decoder{places: map[string]string{}}}
	for _, f := range src.Files {
		if err := c.file(f, &c.cfg); err != nil {
			c.problems = append(c.problems, problem{Where: f, Text: readProblem(err)})
		}
	}
	c.override(&c.cfg, environment(src.Getenv))
	c.override(&c.cfg, func(key string) (string, string, bool) {
		v, ok := src.Flags[key]
		return v, "flag --" + key[strings.LastIndex(key, ".")+1:], ok
	})
	return c
}

func readProblem(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no such file"
	}
	return err.Error()
}

// environment looks a key up as MRELEASE_BUILD_CONTEXT, or as the action's
// input INPUT_BUILD-CONTEXT; GitHub passes inputs that are not set as empty.
func environment(getenv func(string) string) func(string) (string, string, bool) {
	return func(key string) (string, string, bool) {
		upper := strings.ToUpper(strings.ReplaceAll(key, ".", "-"))
		for _, n := range []string{"INPUT_" + upper, "MRELEASE_" + strings.ReplaceAll(upper, "-", "_")} {
			if v := getenv(n); v != "" {
				return v, "environment " + n, true
			}
		}
		return "", "", false
	}
}

// dockerfile returns the Dockerfile's path.
func (c config) dockerfile() string {
	if c.Build.Dockerfile != "" {
		return string(c.Build.Dockerfile)
	}
	return filepath.Join(string(c.Build.Context), "Dockerfile")
}

// appName returns the app's name on the chain.
func (c config) appName() string {
	if c.Name != "" {
		return c.Name
	}
	return path.Base(c.Image.RepositoryStr())
}

func (c config) isBuiltin(chain string) bool {
	return slices.ContainsFunc(poco.Chains(), func(p poco.Chain) bool { return p.Name == chain })
}

func (c config) chainNames() []string {
	names := slices.Collect(maps.Keys(c.Chains))
	for _, p := range poco.Chains() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// profile returns a chain by its name: built in, from the configuration, or
// built in with some values replaced.
func (c config) profile(chain string) (poco.Chain, bool) {
	own, isOwn := c.Chains[chain]
	builtin := slices.IndexFunc(poco.Chains(), func(p poco.Chain) bool { return p.Name == chain })
	if !isOwn && builtin < 0 {
		return poco.Chain{}, false
	}
	p := poco.Chain{Name: chain}
	if builtin >= 0 {
		p = poco.Chains()[builtin]
	}
	if own.Hub != (common.Address{}) {
		p.Hub, p.AppRegistry = own.Hub, common.Address{}
	}
	p.ID = or(own.ID, p.ID)
	p.RPC = or(string(own.RPC), p.RPC)
	p.Market = or(string(own.Market), p.Market)
	p.Fees = or(own.Fees, p.Fees)
	p.Development = own.Development
	return p, true
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// object returns the enclave object without its measurement.
func (e enclaveConfig) object() measure.Object {
	return measure.Object{Framework: e.Framework, Version: e.Version, Entrypoint: e.Entrypoint, HeapSize: uint64(e.Heap)}
}
