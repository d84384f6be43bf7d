package e2e

import (
	"archive/tar"
	"bytes"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// oddImage writes an OCI layout with an image of a hard link to nothing:
//
//	odd-image FOLDER
func oddImage(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: odd-image FOLDER")
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	ts.Check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "app", Linkname: "nothing"}))
	ts.Check(w.Close())
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(archive.Bytes(), types.OCIUncompressedLayer))
	ts.Check(err)
	image, err = mutate.Config(image, v1.Config{Entrypoint: []string{"/app"}, Env: []string{"SCONE_HEAP=1G"}})
	ts.Check(err)
	path, err := layout.Write(ts.MkAbs(args[0]), empty.Index)
	ts.Check(err)
	ts.Check(path.AppendImage(image))
}
