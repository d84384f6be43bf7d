// Distribution is the registry of that name, github.com/distribution/distribution, with
// those of its parts that the tests use: a store in memory, and who may do what by
// tokens or by a file of passwords. Its own program also has the clients of all clouds,
// which take minutes to compile.
//
//	distribution CONFIG
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: distribution CONFIG")
		os.Exit(2)
	}
	if err := serve(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "distribution:", err)
		os.Exit(1)
	}
}

// serve serves until it fails, or the process is ended.
func serve(ctx context.Context, file string) (err error) {
	text, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, text.Close()) }()
	config, err := configuration.Parse(text)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	r, err := registry.NewRegistry(ctx, config)
	if err != nil {
		return fmt.Errorf("making registry: %w", err)
	}
	return r.ListenAndServe()
}
