package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

func isNotFound(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && te.StatusCode == http.StatusNotFound
}

// secretsOfAll are those that all scripts have in common.
func secretsOfAll() []string {
	return []string{walletPassword, cosignPassword, buildSecret, apiKey, registryPassword, kmsSecret, kmsSession, kmsIdentity, imageVaultToken, imageAzure}
}

// searchFolder looks for secrets in what the builder keeps on disk.
func searchFolder(t *testing.T, dir string) {
	t.Helper()
	files, leaks, err := findInFolder(dir)
	for _, leak := range leaks {
		t.Error(leak)
	}
	if err != nil || files == 0 {
		t.Errorf("searching %s: %d files, %v", dir, files, err)
	}
}

// findInFolder returns how many files it looked into, and where it found secrets.
func findInFolder(dir string) (files int, leaks []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		leaks = append(leaks, find(path, content)...)
		return err
	})
	return files, leaks, err
}

// searchRegistry looks for secrets in all that was pushed.
func searchRegistry(t *testing.T, host string) {
	t.Helper()
	registry, err := name.NewRegistry(host)
	if err != nil {
		t.Fatal(err)
	}
	repositories, err := remote.Catalog(t.Context(), registry)
	if err != nil || len(repositories) == 0 {
		t.Errorf("listing repositories: %d, %v", len(repositories), err)
	}
	for _, repository := range repositories {
		repo := registry.Repo(repository)
		tags, err := remote.List(repo)
		if err != nil && !isNotFound(err) {
			t.Error(err)
		}
		for _, tag := range tags {
			searchImage(t, repo.Tag(tag))
		}
	}
}

// searchImage looks into an image and what refers to it.
func searchImage(t *testing.T, ref name.Reference) {
	t.Helper()
	image, err := remote.Image(ref)
	if err != nil {
		t.Error(err)
		return
	}
	searchBlobs(t, ref.String(), image)
	digest, err := image.Digest()
	if err != nil {
		t.Error(err)
	}
	referrers, err := remote.Referrers(ref.Context().Digest(digest.String()))
	if err != nil {
		t.Error(err)
		return
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		t.Error(err)
		return
	}
	for _, d := range manifest.Manifests {
		attached, err := remote.Image(ref.Context().Digest(d.Digest.String()))
		if err != nil {
			t.Error(err)
			continue
		}
		searchBlobs(t, ref.String()+" referrer", attached)
	}
}

func searchBlobs(t *testing.T, what string, image v1.Image) {
	t.Helper()
	manifest, err := image.RawManifest()
	search(t, what+" manifest", manifest)
	config, err2 := image.RawConfigFile()
	search(t, what+" config", config)
	layers, err3 := image.Layers()
	if err := errors.Join(err, err2, err3); err != nil {
		t.Error(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Error(err)
			continue
		}
		data, err := io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Error(err)
		}
		search(t, what+" layer", data)
	}
}

func search(t *testing.T, where string, content []byte) {
	t.Helper()
	for _, leak := range find(where, content) {
		t.Error(leak)
	}
}

func find(where string, content []byte) (leaks []string) {
	for _, secret := range secretsOfAll() {
		if bytes.Contains(content, []byte(secret)) {
			leaks = append(leaks, where+" holds the secret "+secret)
		}
	}
	return leaks
}
