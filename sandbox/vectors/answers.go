package vectors

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/types"

	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/record"
)

// part is what an answer of registry or market has of a release.
type part string

// The parts.
const (
	theManifest      part = "the image's manifest"
	theConfiguration part = "the image's configuration"
	theLayer         part = "the image's layer"
	theList          part = "the list of what refers to the image"
	theSignature     part = "the manifest that holds the signature"
	theProvenance    part = "the manifest that holds the provenance"
	theOrder         part = "the order"
)

// parts finds the answers with the parts of a release.
func parts(b base) (map[part]int, error) {
	r, err := record.Parse([]byte(b.file.Record))
	if err != nil {
		return nil, err
	}
	found := map[part]int{}
	for i, a := range b.file.Answers {
		if a.Status != http.StatusOK {
			continue
		}
		if p := partOf(a, r); p != "" {
			found[p] = i
		}
	}
	for _, p := range []part{theManifest, theConfiguration, theLayer, theList, theSignature, theProvenance, theOrder} {
		if _, ok := found[p]; !ok {
			return nil, fmt.Errorf("no answer has %s", p)
		}
	}
	return found, nil
}

func partOf(a evidence.Answer, r record.Record) part {
	path, _, _ := strings.Cut(a.Question, "?")
	switch {
	case a.Service == evidence.Market && strings.HasSuffix(path, r.Order.Hash.Hex()):
		return theOrder
	case a.Service != evidence.Registry:
		return ""
	case strings.HasSuffix(path, "/manifests/"+r.Version):
		return theManifest
	case strings.HasSuffix(path, "/blobs/"+r.Image.Config.String()):
		return theConfiguration
	case strings.Contains(path, "/referrers/"):
		return theList
	case !json.Valid(a.Body):
		return theLayer
	}
	switch predicate(held(a.Body)) {
	case types.CosignSignPredicateType:
		return theSignature
	case record.ProvenanceType:
		return theProvenance
	}
	return ""
}

// held is what a manifest holds of its one layer; nothing for what is none.
func held(body []byte) []byte {
	var manifest struct{ Layers []struct{ Data []byte } }
	if err := json.Unmarshal(body, &manifest); err != nil || len(manifest.Layers) != 1 {
		return nil
	}
	return manifest.Layers[0].Data
}

// predicate is the type of what a bundle states; nothing for what is no bundle.
func predicate(body []byte) string {
	var bundle struct {
		Envelope struct{ Payload string } `json:"dsseEnvelope"`
	}
	var statement struct{ PredicateType string }
	if err := json.Unmarshal(body, &bundle); err != nil {
		return ""
	}
	payload, err := base64.StdEncoding.DecodeString(bundle.Envelope.Payload)
	if err != nil || json.Unmarshal(payload, &statement) != nil {
		return ""
	}
	return statement.PredicateType
}

// answered is what must come of a part that is not answered, or otherwise.
type answered struct {
	clause            string
	cut, gone, others Want // left out; not found; other bytes
}

// answers are what must come of each part.
func answers() map[part]answered {
	return map[part]answered{
		theManifest:      {"3.1", incomplete(), refused(20, "E-IMAGE-MISSING", "image"), refused(12, moved, "image")},
		theConfiguration: {"4.1", unmeasuredOnly(), refused(20, "E-REGISTRY", "layers"), refused(12, content, "layers")},
		theLayer:         {"4.1", unmeasuredOnly(), refused(20, "E-REGISTRY", "layers"), refused(12, content, "layers")},
		theList:          {"5.6", incomplete(), incomplete(), incomplete()},
		theSignature:     {"5.6", incomplete(), incomplete(), incomplete()},
		theProvenance:    {"6.1", incomplete(), refused(12, noProvenance, "provenance"), refused(12, noProvenance, "provenance")},
		theOrder:         {"11.1", incomplete(), refused(14, noOrder, "order on market"), refused(20, "E-MARKET", "order on market")},
	}
}

// answers adds vectors of a registry and a market that answer otherwise.
func (s *set) answers(b base) error {
	found, err := parts(b)
	if err != nil {
		return err
	}
	all := answers()
	var errs []error
	for _, p := range sortedKeys(all) {
		at, want := found[p], all[p]
		errs = append(errs,
			s.forge("14.7", string(p)+" is not in the file", b, want.cut, func(f *evidence.File) error {
				f.Answers = slices.Delete(f.Answers, at, at+1)
				return nil
			}),
			s.forge(want.clause, string(p)+" is not there", b, want.gone, func(f *evidence.File) error {
				a := &f.Answers[at]
				a.Status, a.Body = http.StatusNotFound, nil
				return nil
			}),
			s.forge(want.clause, string(p)+" has other bytes", b, want.others, func(f *evidence.File) error {
				f.Answers[at].Body = otherwise(f.Answers[at].Body)
				return nil
			}),
			s.forge(want.clause, string(p)+" is empty", b, want.others, func(f *evidence.File) error {
				f.Answers[at].Body = nil
				return nil
			}))
	}
	return errors.Join(append(errs, s.order(b, found[theOrder]), s.embedded(b, found))...)
}

// otherwise are other bytes: no JSON, where they were.
func otherwise(body []byte) []byte {
	body = slices.Clone(body)
	body[0] ^= 1
	return body
}

// order adds vectors of a market that has another order under the hash.
func (s *set) order(b base, at int) error {
	const signature = `"sign":"0x`
	var errs []error
	for _, other := range [][2]string{
		{"price", `"appprice":7`}, {"volume", `"volume":10`}, {"tag", `"tag":"0x0`},
		{"salt", `"salt":"0x`}, {"app", `"app":"0x`}, {"restriction of requesters", `"requesterrestrict":"0x`}, {"signature", signature},
	} {
		want := refused(14, "E-ORDER", "order on market")
		if other[1] == signature { // whose it is, the chain would have to say
			want = incomplete()
		}
		errs = append(errs, s.forge("11.1", "an order with another "+other[0]+" in the market", b, want, func(f *evidence.File) error {
			body := f.Answers[at].Body
			i := bytes.Index(body, []byte(other[1]))
			if i < 0 {
				return fmt.Errorf("the market does not say %s", other[1])
			}
			i += len(other[1])
			if strings.Contains(other[1], "0x") {
				i++ // the digit after it
			}
			body[i-1] = nextDigit(string(body[i-1 : i]))[0]
			return nil
		}))
	}
	return errors.Join(errs...)
}

// embedded adds vectors of a registry that is of one mind with itself: it lists a manifest
// that holds something else than it names.
func (s *set) embedded(b base, found map[part]int) error {
	var errs []error
	for _, other := range []struct {
		says   string
		change func(*v1.Descriptor)
	}{
		{"another content than it names", func(layer *v1.Descriptor) { layer.Data = otherwise(layer.Data) }},
		{"more than it names", func(layer *v1.Descriptor) { layer.Data = append(layer.Data, '\n') }},
		{"what is of another size than it names", func(layer *v1.Descriptor) { layer.Size++ }},
		{"what is of another digest than it names", func(layer *v1.Descriptor) {
			layer.Digest.Hex = nextDigit(layer.Digest.Hex[:1]) + layer.Digest.Hex[1:]
		}},
	} {
		for _, in := range []struct {
			place part
			want  Want
		}{{theSignature, incomplete()}, {theProvenance, refused(12, noProvenance, "provenance")}} {
			errs = append(errs, s.forge("13.5", "in the place of "+string(in.place)+" one with "+other.says, b, in.want, func(f *evidence.File) error {
				err := swap(&f.Answers[found[in.place]], &f.Answers[found[theList]], other.change)
				slices.SortFunc(f.Answers, func(a, b evidence.Answer) int {
					return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Question, b.Question))
				})
				return err
			}))
		}
	}
	return errors.Join(errs...)
}

// swap changes the layer of a manifest, and has the list name the manifest that comes of it.
func swap(manifest, list *evidence.Answer, change func(*v1.Descriptor)) error {
	var m v1.Manifest
	var l v1.IndexManifest
	if err := errors.Join(json.Unmarshal(manifest.Body, &m), json.Unmarshal(list.Body, &l)); err != nil {
		return err
	}
	change(&m.Layers[0])
	before, _, err := v1.SHA256(bytes.NewReader(manifest.Body))
	if err != nil {
		return err
	}
	if manifest.Body, err = json.Marshal(m); err != nil {
		return err
	}
	i := slices.IndexFunc(l.Manifests, func(d v1.Descriptor) bool { return d.Digest == before })
	if i < 0 {
		return fmt.Errorf("the list does not name %s", before)
	}
	if l.Manifests[i].Digest, l.Manifests[i].Size, err = v1.SHA256(bytes.NewReader(manifest.Body)); err != nil {
		return err
	}
	manifest.Question = strings.Replace(manifest.Question, before.String(), l.Manifests[i].Digest.String(), 1)
	list.Body, err = json.Marshal(l)
	return err
}
