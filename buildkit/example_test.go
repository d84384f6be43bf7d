package buildkit_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/buildkit"
)

// The digest of what an image is made from is known before it is built, and does
// not depend on the checkout.
func ExampleSource_Digest() {
	context := func() string {
		dir, err := os.MkdirTemp("", "")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o600)
		}
		if err != nil {
			log.Fatal(err)
		}
		return dir
	}
	one, other := context(), context()
	defer os.RemoveAll(one)
	defer os.RemoveAll(other)
	fmt.Println(buildkit.Source{Context: one}.Digest(ctx()))
	fmt.Println(buildkit.Source{Context: other}.Digest(ctx()))
	// Output:
	// sha256:d091aac05a97795f67908db11335120cf6ae39720442fcfc686975ff366324fa <nil>
	// sha256:d091aac05a97795f67908db11335120cf6ae39720442fcfc686975ff366324fa <nil>
}

func ctx() context.Context { return context.Background() }

// Building needs a builder: here the one in this process, which needs root and runc.
func ExampleBuilder_Build() {
	builder, err := buildkit.Open(ctx(), buildkit.Options{Builder: buildkit.Embedded, State: "/var/cache/app", Path: os.Getenv("PATH")})
	if err != nil {
		log.Fatal(err)
	}
	defer builder.Close()
	built, err := builder.Build(ctx(), buildkit.Source{Context: "."}, "dist/image", os.Stderr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(built.Image.Digest())
}
