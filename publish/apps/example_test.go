package apps_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/apps"
)

// An app names the image by its tag, as workers pull it, and holds the digest of
// its manifest as a checksum.
func ExampleNew() {
	tag, err := name.NewTag("ghcr.io/acme/hello:1.0.0")
	if err != nil {
		log.Fatal(err)
	}
	image := tag.Digest("sha256:" + strings.Repeat("ab", 32))
	app, err := apps.New(common.HexToAddress("0x11"), "hello", tag, image, measure.Enclave{Format: measure.None})
	fmt.Println(app.Name, string(app.Multiaddr), app.Checksum, err)
	// Output: hello ghcr.io/acme/hello:1.0.0 0xabababababababababababababababababababababababababababababababab <nil>
}
