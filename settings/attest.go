package settings

import "github.com/mrelease/mrelease/buildkit"

// checkAttest refuses a scanner that is not named by its digest: what another one lists is
// another document.
func (c *Checker) checkAttest() {
	scanner := c.Settings.Attest.SBOM
	if scanner == "" {
		return
	}
	if err := buildkit.CheckScanner(scanner); err != nil {
		c.Complain("attest.sbom", "%v", err)
	}
}
