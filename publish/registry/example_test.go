package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/publish/registry"
)

// A tag is written once: the same release is found under it, another one refused.
func ExampleClient_Push() {
	server := httptest.NewServer(testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/acme/hello:1.0.0")
	if err != nil {
		log.Fatal(err)
	}
	image := func(inputs string) v1.Image {
		return mutate.Annotations(empty.Image, map[string]string{registry.InputsAnnotation: inputs}).(v1.Image)
	}
	ctx, client := context.Background(), registry.Client{}
	for _, inputs := range []string{"sha256:1", "sha256:1", "sha256:2"} {
		digest, err := client.Push(ctx, tag, image(inputs))
		fmt.Println(digest.DigestStr(), err != nil)
	}
	// Output:
	// sha256:f955d45eb11a19facbab7c1d6a97596f38f1b113474f3a789b9acffa4e8306c6 false
	// sha256:f955d45eb11a19facbab7c1d6a97596f38f1b113474f3a789b9acffa4e8306c6 false
	// sha256:456eb4897f590fbf30910255e2babd087e727ec0c81d6f9c574651af94defbc3 true
}
