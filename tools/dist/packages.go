package main

import (
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

// places are the folders of Linux systems; what has none is a document.
var places = map[string]string{
	"mrelease":                 "/usr/bin/mrelease",
	"completion/mrelease.bash": "/usr/share/bash-completion/completions/mrelease",
	"completion/_mrelease":     "/usr/share/zsh/site-functions/_mrelease",
	"completion/mrelease.fish": "/usr/share/fish/vendor_completions.d/mrelease.fish",
	"LICENSE":                  "/usr/share/doc/mrelease/copyright",
}

// packages makes the packages of Linux systems.
func (r release) packages(p program, contents []file) (err error) {
	// The packer reads files.
	work, err := os.MkdirTemp("", "dist-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	var list files.Contents
	for _, f := range contents {
		to, data := places[f.name], f.data
		if to == "" {
			to, data = "/usr/share/doc/mrelease/"+path.Base(f.name)+".gz", zipped(data)
			if strings.HasPrefix(f.name, "man/") {
				to = "/usr/share/man/man1/" + path.Base(f.name) + ".gz"
			}
		}
		from := filepath.Join(work, strings.ReplaceAll(f.name, "/", "-"))
		if err := os.WriteFile(from, data, 0o600); err != nil {
			return err
		}
		list = append(list, &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: made}})
	}
	return errors.Join(r.write(deb.Default, r.info(p, list)), r.write(rpm.DefaultRPM, r.info(p, list)))
}

// packager makes packages of one kind.
type packager interface {
	Package(info *nfpm.Info, w io.Writer) error
	ConventionalFileName(info *nfpm.Info) string
}

func (r release) write(by packager, info *nfpm.Info) error {
	name := by.ConventionalFileName(info)
	out, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	return errors.Join(by.Package(nfpm.WithDefaults(info), out), out.Close())
}

func (r release) info(p program, contents files.Contents) *nfpm.Info {
	return &nfpm.Info{
		Name: "mrelease", Arch: p.goarch, Platform: p.goos, Version: r.version, Release: "1", MTime: made, DisableGlobbing: true,
		Section: "devel", Priority: "optional", Maintainer: "mrelease <https://github.com/mrelease/mrelease>", Vendor: "mrelease",
		Homepage: "https://github.com/mrelease/mrelease", License: "Apache-2.0",
		Description: "Release SGX enclaves like ordinary software\nBuilds an image that runs in an SGX enclave, measures the enclave, pushes and signs\nthe image, registers it as an app on iExec's contracts and offers it on iExec's market.",
		Overridables: nfpm.Overridables{
			Contents: contents, Recommends: []string{"git", "runc", "ca-certificates"},
			Deb: nfpm.Deb{Compression: "gzip"},
			RPM: nfpm.RPM{Compression: "gzip", BuildHost: "localhost", Summary: "Release SGX enclaves like ordinary software"},
		},
	}
}
