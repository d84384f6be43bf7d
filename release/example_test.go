package release_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
)

// An image can be a folder or a reference; what it states of its enclave is read
// without running it. A whole release is in examples/embed.
func ExampleOpenImage() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if _, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})); err != nil {
		log.Fatal(err)
	}
	image, err := release.OpenImage(context.Background(), registry.Client{}, dir)
	if err != nil {
		log.Fatal(err)
	}
	claim, err := release.Claim(image)
	fmt.Printf("%q %v\n", claim, err)
	_, err = release.OpenImage(context.Background(), registry.Client{}, "not an image")
	fmt.Println(err)
	// Output:
	// "" <nil>
	// "not an image" is neither a folder nor an image reference
}
