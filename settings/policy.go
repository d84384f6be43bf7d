package settings

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/poco"
)

// Policy is what a team accepts of a release: the file of verify --policy. What is not set
// accepts anything. The tags of its fields are what docs/policy.md says of each key.
type Policy struct {
	Owners       Addresses       `yaml:"owners" doc:"accounts that may own the app: a list of addresses"`
	Repositories List            `yaml:"repositories" doc:"where the image may lie: a list of repositories (ghcr.io/acme/hello), or of what is before the /* of all below (ghcr.io/acme/*)"`
	Signers      AcceptedSigners `yaml:"signers" doc:"who may have signed the image: a list, each of a key, or of an identity with its issuer"`
	Root         Path            `yaml:"trusted-root" doc:"file of the authorities that may certify identities, in Sigstore's JSON"`
	Enclave      AcceptedEnclave `yaml:"enclave" doc:"what the enclave must be"`
	Require      List            `yaml:"require" doc:"links that must be there and hold, beside those that each release has, by their names in the verdict: measurement, reference values, SBOM, VEX, canary"`
	MaxPrice     uint64          `yaml:"max-price" doc:"the highest price of a run, in nRLC"`
}

// AcceptedSigners are those who may have signed an image.
type AcceptedSigners []AcceptedSigner

// AcceptedSigner is one of them.
type AcceptedSigner struct {
	Key      Path   `yaml:"key" doc:"file of a public key, in PEM"`
	Identity string `yaml:"identity" doc:"identity of a workflow or pipeline, whole, or without its @REF for any reference"`
	Issuer   URL    `yaml:"issuer" doc:"with identity: the OIDC issuer that the certificate must name"`
}

// AcceptedEnclave is what an enclave must be.
type AcceptedEnclave struct {
	Trust   measure.Trust `yaml:"trust" doc:"what its measurement must rest on at least"`
	Bases   List          `yaml:"bases" doc:"digests (sha256:…) of the base images whose programs are trusted"`
	Signers List          `yaml:"signers" doc:"MRSIGNER of the keys that may have signed it, 64 hex digits each; when not set it need not be signed"`
	SVN     uint64        `yaml:"isvsvn" doc:"with signers: its lowest security version"`
}

// RequiredLinks are the words of Policy.Require: links as verify names them.
func RequiredLinks() []string {
	return []string{"measurement", "reference values", "SBOM", "VEX", "canary"}
}

// ReadPolicy reads and checks a policy. Its error is an [*Error] with every problem, or that
// of a file that cannot be read. It looks at local files only.
func ReadPolicy(file string) (Policy, error) {
	p := Policy{MaxPrice: poco.MaxAmount}
	d := policyDecoder{decoder: &decoder{places: map[string]string{}}, file: file}
	if err := d.decoder.file(file, &p); err != nil {
		return p, err
	}
	if !d.unread {
		d.check(p)
	}
	for i, problem := range d.Problems {
		d.Problems[i].Cure = cmp.Or(problem.Cure, "correct the places above; docs/policy.md lists every key of a policy")
	}
	return p, asError(d.Problems)
}

type policyDecoder struct {
	*decoder
	file string
}

// complain adds a problem with the value of a key.
func (d policyDecoder) complain(key, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{Where: cmp.Or(d.places[key], d.file), Key: key, Text: fmt.Sprintf(format, args...)})
}

func (d policyDecoder) check(p Policy) {
	if reflect.DeepEqual(p, Policy{MaxPrice: poco.MaxAmount}) && len(d.Problems) == 0 {
		d.complain("", "says nothing: it would accept any release")
	}
	for _, r := range p.Repositories {
		example := r
		if above, all := strings.CutSuffix(r, "/*"); all {
			example = above + "/x"
		}
		if _, err := name.NewRepository(example); err != nil || strings.HasPrefix(r, "/") {
			d.complain("repositories", "%q is no repository: want ghcr.io/acme/hello, or ghcr.io/acme/* for all below", r)
		}
	}
	for _, word := range p.Require {
		if !slices.Contains(RequiredLinks(), word) {
			d.complain("require", "want some of %s, got %q", strings.Join(RequiredLinks(), ", "), word)
		}
	}
	if p.MaxPrice > poco.MaxAmount {
		d.complain("max-price", "must be at most %d, got %d", uint64(poco.MaxAmount), p.MaxPrice)
	}
	for i, s := range p.Signers {
		key := fmt.Sprintf("signers[%d]", i)
		if !slices.ContainsFunc(d.Problems, func(p Problem) bool { return strings.HasPrefix(p.Key, key) }) {
			d.checkSigner(key, s, p.Root)
		}
	}
	d.checkFile("trusted-root", p.Root)
	d.checkEnclave(p.Enclave)
}

// checkFile makes sure that a file is there.
func (d policyDecoder) checkFile(key string, path Path) {
	if path == "" {
		return
	}
	if info, err := os.Stat(string(path)); err != nil {
		d.complain(key, "%s: %s", path, Reason(err))
	} else if !info.Mode().IsRegular() {
		d.complain(key, "%s is no file", path)
	}
}

func (d policyDecoder) checkSigner(key string, s AcceptedSigner, root Path) {
	d.checkFile(key+".key", s.Key)
	switch u, err := url.Parse(s.Identity); {
	case s.Key != "" && (s.Identity != "" || s.Issuer != ""):
		d.complain(key, "has a key beside an identity: an image is signed by one of both; make it two entries")
	case s.Key == "" && (s.Identity == "" || s.Issuer == ""):
		d.complain(key, "want a key, or an identity with its issuer")
	case s.Identity != "" && root == "":
		d.complain(key, "is an identity, and trusted-root does not say who may certify one")
	case s.Identity != "" && (err != nil || u.Scheme == "" || u.Host == ""):
		d.complain(key+".identity", "want a URL such as https://github.com/acme/hello/.github/workflows/release.yml, got %q", s.Identity)
	}
}

func (d policyDecoder) checkEnclave(e AcceptedEnclave) {
	for _, text := range e.Bases {
		if _, err := v1.NewHash(text); err != nil {
			d.complain("enclave.bases", "want digests, sha256: and 64 hex digits, got %q", text)
		}
	}
	for _, text := range e.Signers {
		if new(sgx.MRSIGNER).UnmarshalText([]byte(text)) != nil {
			d.complain("enclave.signers", "want 64 hex digits in lower case each, got %q", text)
		}
	}
	switch {
	case e.SVN > 1<<16-1:
		d.complain("enclave.isvsvn", "must be at most %d, got %d", 1<<16-1, e.SVN)
	case e.SVN > 0 && len(e.Signers) == 0:
		d.complain("enclave.isvsvn", "stands without enclave.signers: anybody may sign any security version")
	}
}

// maxSigners is how many may be accepted.
const maxSigners = 64

// signers reads a list of signers.
func (d *decoder) signers(n node, into *AcceptedSigners) {
	items, ok := d.elements(n, "signers", maxSigners)
	if !ok {
		return
	}
	*into = nil
	for _, item := range items {
		var s AcceptedSigner
		d.mapping(item, reflect.ValueOf(&s).Elem(), d.field)
		*into = append(*into, s)
	}
}

// elements returns the elements of a list of so many at most.
func (d *decoder) elements(n node, what string, most int) (items []node, ok bool) {
	list, ok := n.Node.(*ast.SequenceNode)
	if !ok {
		d.fail(n, "want a list of %s, got %s", what, kind(n.Node))
		return nil, false
	}
	if len(list.Values) > most {
		d.fail(n, "are %d, more than %d", len(list.Values), most)
		return nil, false
	}
	for i, value := range list.Values {
		item := d.resolve(node{value, n.path, fmt.Sprintf("%s[%d]", n.key, i), n.anchors})
		d.places[item.key] = item.where()
		items = append(items, item)
	}
	return items, true
}
