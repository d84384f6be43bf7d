package vex

import (
	"encoding/hex"
	"path"
	"strings"

	"github.com/package-url/packageurl-go"
)

// Product is what a statement is about.
type Product struct {
	names  []string // its @id and its purl
	sha256 string   // in lower-case hex; empty: it has none
}

// Image is an image, as far as it is known.
type Image struct {
	Repository string // ghcr.io/acme/hello
	Tag        string // empty: not known
	Digest     string // sha256:…, of the manifest; empty: not known
}

// String names an image.
func (i Image) String() string {
	if i.Digest == "" {
		return i.Repository
	}
	return i.Repository + "@" + i.Digest
}

// PURL is how a document names an image that is not built yet.
func (i Image) PURL() string {
	repository := hub(i.Repository)
	return "pkg:oci/" + path.Base(repository) + "?repository_url=" + repository
}

func (p *Product) read(r *reader, m map[string]any, where string) {
	r.texts(m, where, "supplier")
	identifiers, hashes := r.strings(m, where, "identifiers"), r.strings(m, where, "hashes")
	for _, name := range []string{r.text(m, where, "@id"), identifiers["purl"]} {
		if name != "" {
			p.names = append(p.names, name)
		}
	}
	if p.sha256 = strings.ToLower(hashes["sha-256"]); p.sha256 != "" {
		if b, err := hex.DecodeString(p.sha256); err != nil || len(b) != 32 {
			r.wrong(in(where, "hashes.sha-256"), "want 64 hex digits, got %.100q", p.sha256)
		}
	}
}

// strings reads an object of texts that may be missing.
func (r *reader) strings(m map[string]any, where, member string) map[string]string {
	read := map[string]string{}
	value, there := m[member]
	all, ok := value.(map[string]any)
	if there && !ok {
		r.wrong(in(where, member), "want an object")
	}
	for name := range all {
		read[name] = r.text(all, in(where, member), name)
	}
	return read
}

// is reports whether a product is an image, or can be as far as the image is known. One that
// says somewhere that it is another build of the repository is not.
func (p Product) is(i Image) bool {
	if p.sha256 != "" && i.Digest != "" {
		return "sha256:"+p.sha256 == i.Digest
	}
	is := p.sha256 != "" && len(p.names) == 0
	for _, name := range p.names {
		repository, digest, tag, ok := parse(name)
		switch {
		case !ok || repository != hub(i.Repository) && repository != path.Base(i.Repository):
		case digest != "" && i.Digest != "" && digest != i.Digest, digest == "" && tag != "" && i.Tag != "" && tag != i.Tag:
			return false
		default:
			is = true
		}
	}
	return is
}

// parse reads a purl of type oci, whose repository may be its last part alone, or the
// reference of an image.
func parse(name string) (repository, digest, tag string, ok bool) {
	if strings.HasPrefix(name, "pkg:") {
		p, err := packageurl.FromString(name)
		if err != nil || p.Type != packageurl.TypeOCI {
			return "", "", "", false
		}
		q := p.Qualifiers.Map()
		if url := q["repository_url"]; url != "" {
			if repository = hub(strings.TrimPrefix(url, "https://")); path.Base(repository) != p.Name { // it is where the repository lies
				repository += "/" + p.Name
			}
			return repository, p.Version, q["tag"], true
		}
		return p.Name, p.Version, q["tag"], true
	}
	repository, digest, _ = strings.Cut(name, "@")
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository, tag = repository[:colon], repository[colon+1:]
	}
	return hub(repository), digest, tag, strings.Contains(repository, "/")
}

// hub names Docker's registry as people do.
func hub(repository string) string {
	return strings.TrimPrefix(repository, "index.")
}
