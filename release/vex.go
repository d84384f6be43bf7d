package release

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/vex"
)

// assessment is the VEX document that is attested of the image. It may be another one each
// time that a version is released: no record names it, and it is no input of the build.
type assessment struct {
	vex.Document
	made bool // this run attested it
}

func (r Release) readVEX() (*assessment, error) {
	d, err := r.Settings.ReadVEX()
	if d == nil {
		return nil, err
	}
	return &assessment{Document: *d}, nil
}

// String tells a document.
func (a *assessment) String() string {
	return fmt.Sprintf("%.200q, version %d, %s", a.ID, a.Version, printable.Count(len(a.Statements), "statement"))
}

// evidence says what is attested, and whether it is new.
func (a *assessment) evidence() string {
	if a == nil {
		return ""
	}
	text := "; VEX " + a.String()
	if a.made {
		text += ", new"
	}
	return text
}

// noteMade keeps what of the statements besides the signature was made. The VEX document's is
// the last.
func (r *run) noteMade(made []bool) {
	r.attested = r.attested || slices.Contains(made, true)
	if r.image.vex != nil && len(made) > 0 {
		r.image.vex.made = r.image.vex.made || made[len(made)-1]
	}
}

// attestedVEX is what must be there at the end.
func (r *run) attestedVEX() []vex.Document {
	if r.image.vex == nil {
		return nil
	}
	return []vex.Document{r.image.vex.Document}
}

// checkVEX makes sure that the document is about the image, once that is known.
func (r *run) checkVEX() error {
	if r.image.vex == nil || r.image.Image == nil {
		return nil
	}
	return r.Settings.CheckVEX(r.image.vex.Document, vex.Image{Repository: r.tag.Repository.Name(), Tag: r.tag.TagStr(), Digest: r.image.digest.DigestStr()})
}

// checkNewer makes sure that a document which the signer does not attest yet is newer than
// those of its @id that it does: whoever reads them could not tell which counts.
func (r *run) checkNewer(said registry.Statements) error {
	if r.image.vex == nil {
		return nil
	}
	all, _, err := record.VEX(said, r.image.digest)
	if err != nil || slices.ContainsFunc(all, r.image.vex.Equal) {
		return err
	}
	var there uint64
	for _, d := range all {
		if d.ID == r.image.vex.ID {
			there = max(there, d.Version)
		}
	}
	if there >= r.image.vex.Version {
		return &StaleVEXError{r.image.digest, string(r.Settings.Attest.VEX), r.image.vex.Document, there}
	}
	return nil
}

// StaleVEXError says that the signer attests a VEX document of the same @id already that is
// not older.
type StaleVEXError struct {
	Image    name.Digest
	File     string
	Document vex.Document
	There    uint64 // the highest version that is attested
}

func (e *StaleVEXError) Error() string {
	return fmt.Sprintf("the VEX document %s is version %d of %.200q, and version %d with another content is attested already", e.File, e.Document.Version, e.Document.ID, e.There)
}

// Evidence returns both versions.
func (e *StaleVEXError) Evidence() [][2]string {
	return [][2]string{{"expected", fmt.Sprintf("version %d or above, since the content is another", e.There+1)}, {"actual", fmt.Sprintf("version %d", e.Document.Version)}, {"where", e.Image.String()}}
}

// boundVEX identifies the document in what is approved; empty for none.
func (r *run) boundVEX() string {
	if r.image.vex == nil {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(r.image.vex.Raw))
}
