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

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// config is what mrelease.yaml, the environment and the flags say. It is filled
// once and not written to afterwards.
type config struct {
	Image   repository             `yaml:"image"` // where the image is pushed, without a tag
	Name    string                 `yaml:"name"`  // of the app on the chain; the image's last element
	Build   buildConfig            `yaml:"build"`
	Enclave enclaveConfig          `yaml:"enclave"`
	Sign    signConfig             `yaml:"sign"`
	Chain   string                 `yaml:"chain"`
	Chains  map[string]chainConfig `yaml:"chains"`
	Wallet  walletConfig           `yaml:"wallet"`
	Order   orderConfig            `yaml:"order"`
	Record  filePath               `yaml:"record"`
}

type buildConfig struct {
	Context    filePath                `yaml:"context"`
	Dockerfile filePath                `yaml:"dockerfile"` // default: Dockerfile in the context
	Target     string                  `yaml:"target"`
	Args       map[string]string       `yaml:"args"`
	Contexts   map[string]string       `yaml:"contexts"` // named contexts
	Bases      map[string]pin          `yaml:"bases"`    // FROM reference -> digest
	Secrets    map[string]secretConfig `yaml:"secrets"`  // id -> where the value is
	Network    network                 `yaml:"network"`
}

// secretConfig says where a secret is; it never holds one.
type secretConfig struct {
	Env  string   `yaml:"env"`
	File filePath `yaml:"file"`
}

type enclaveConfig struct {
	Format     measure.Format `yaml:"format"`
	File       string         `yaml:"fingerprint-file"` // path in the image
	Timeout    duration       `yaml:"timeout"`
	Framework  string         `yaml:"framework"` // with format json, as the next three
	Version    string         `yaml:"version"`
	Entrypoint string         `yaml:"entrypoint"`
	Heap       size           `yaml:"heap"`
}

type signConfig struct {
	Key filePath `yaml:"key"` // a cosign key file, or env://VARIABLE
}

type chainConfig struct {
	ID          uint64         `yaml:"id"`
	RPC         httpURL        `yaml:"rpc"`
	Hub         common.Address `yaml:"hub"`
	Market      httpURL        `yaml:"market"`
	Fees        poco.Fees      `yaml:"fees"`
	Development bool           `yaml:"development"`
}

type walletConfig struct {
	Keystore    filePath       `yaml:"keystore"` // a V3 file, or a folder of them
	Address     common.Address `yaml:"address"`  // which of a folder's
	AllowRawKey bool           `yaml:"allow-raw-key"`
}

type orderConfig struct {
	Price              uint64         `yaml:"price"` // nRLC per run
	Volume             uint64         `yaml:"volume"`
	Tag                poco.Tag       `yaml:"tag"`
	DatasetRestrict    common.Address `yaml:"datasetrestrict"`
	WorkerpoolRestrict common.Address `yaml:"workerpoolrestrict"`
	RequesterRestrict  common.Address `yaml:"requesterrestrict"`
}

func defaults() config {
	return config{
		Build:   buildConfig{Context: "."},
		Enclave: enclaveConfig{Format: measure.Legacy, File: "/conf/fingerprint.txt", Timeout: duration(time.Minute)},
		Order:   orderConfig{Volume: 1_000_000, Tag: poco.TEE()},
		Record:  "dist/record.json",
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
	cfg := defaults()
	d := &decoder{places: map[string]string{}}
	for _, f := range src.Files {
		if err := d.file(f, &cfg); err != nil {
			return cfg, &configError{[]problem{{Where: f, Text: readProblem(err)}}}
		}
	}
	d.override(&cfg, environment(src.Getenv))
	d.override(&cfg, func(key string) (string, string, bool) {
		v, ok := src.Flags[key]
		return v, "flag --" + key[strings.LastIndex(key, ".")+1:], ok
	})
	c := checker{cfg: cfg, decoder: d, files: src.Files}
	c.check(need)
	if len(d.problems) > 0 {
		return cfg, &configError{d.problems}
	}
	return cfg, nil
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
