package settings

import (
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/vex"
)

// checkAttest refuses a scanner that is not named by its digest: what another one lists is
// another document. And it refuses a VEX document that is none, or of something else.
func (c *Checker) checkAttest() {
	if scanner := c.Settings.Attest.SBOM; scanner != "" {
		if err := buildkit.CheckScanner(scanner); err != nil {
			c.Complain("attest.sbom", "%v", err)
		}
	}
	d, err := c.Settings.ReadVEX()
	if repository := c.Settings.Image.Repository; d != nil && repository != (name.Repository{}) {
		err = c.Settings.CheckVEX(*d, vex.Image{Repository: repository.Name()})
	}
	for _, p := range Problems(err) {
		c.Complain("attest.vex", "%s", p)
	}
}

// ReadVEX reads the VEX document that is to be attested; nil for none. Its error is an
// [*Error] with all that is wrong with it.
func (s Settings) ReadVEX() (*vex.Document, error) {
	path := string(s.Attest.VEX)
	if path == "" {
		return nil, nil
	}
	data, err := bounds.ReadFile(path, bounds.VEX)
	if err != nil {
		return nil, s.vexError(Reason(err))
	}
	d, err := vex.Parse(data)
	if wrong, ok := errors.AsType[*vex.Error](err); ok {
		return nil, s.vexError(wrong.Problems...)
	} else if err != nil {
		return nil, s.vexError(err.Error())
	}
	return &d, nil
}

// CheckVEX makes sure that a document is about an image, as far as that is known: else it
// would say nothing of it. Its error is an [*Error].
func (s Settings) CheckVEX(d vex.Document, i vex.Image) error {
	if len(d.About(i)) > 0 {
		return nil
	}
	return s.vexError(fmt.Sprintf("no statement is about %s: name it among the products, such as {\"@id\": %q}, or leave the products out", i, i.PURL()))
}

func (s Settings) vexError(texts ...string) error {
	e := new(Error)
	for _, text := range texts {
		e.Problems = append(e.Problems, Problem{Where: string(s.Attest.VEX), Text: text})
	}
	return e
}
