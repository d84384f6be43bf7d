// Command embed releases an app through the packages, as a program of yours could:
//
//	embed VERSION STATE mrelease.yaml…
//
// STATE is the absolute path of a folder for the builder's cache. The accepted
// enclave.lock lies in the working folder, as does what is written: dist.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/logins"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/silence"
	"github.com/mrelease/mrelease/source"
)

func main() {
	silence.Libraries() // or they log to standard error what is for whoever debugs them
	if len(os.Args) < 4 {
		fail("usage: embed VERSION STATE mrelease.yaml…")
	}
	ctx, version, state, files := context.Background(), os.Args[1], os.Args[2], os.Args[3:]
	cfg, err := settings.Load(settings.Sources{Files: files, Getenv: os.Getenv}, settings.Purpose{Build: true, Publish: true})
	check(err)
	src, err := source.Read(ctx, source.Options{Settings: cfg, Getenv: os.Getenv, Version: version, Lock: lock.Name, Keychain: logins.Keychain{Getenv: os.Getenv}})
	check(err)
	opened, err := keys.Ring{Sign: cfg.Sign, Wallet: cfg.Wallet, Enclave: cfg.Enclave.Key, Secret: cfg.Secret, Getenv: os.Getenv}.Open()
	check(err)
	world := release.World{Registry: registry.Client{Keychain: logins.Keychain{Getenv: os.Getenv}}, Keys: opened}
	world.Builder = func(ctx context.Context) (*buildkit.Builder, error) {
		return buildkit.Open(ctx, buildkit.Options{State: state, Path: os.Getenv("PATH")})
	}
	_, err = world.Connect(ctx, cfg)
	check(err)
	r := release.Release{Settings: cfg, Source: src, Lock: lock.Name, Layout: "dist/image", World: world}
	result, err := r.Run(ctx)
	check(err)
	fmt.Println(result.Record.Image.Digest, result.Registration.Address)
}

func check(err error) {
	if err != nil {
		fail(printable.Text(err.Error())) // it may hold what a registry or a node says
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
