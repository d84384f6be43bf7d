package buildkit_test

import (
	"path/filepath"
	"testing"
)

func TestIgnoredFilesAreNotInTheImage(t *testing.T) {
	t.Parallel()
	b := shared(t)
	src := source(t, "FROM scratch\nCOPY . /\n", files{
		".dockerignore": "# build products\n*.log\n/out\n!keep.log\n",
		"file":          "1", "a.log": "x", "keep.log": "2", "out/big": "x", "folder/b.log": "3",
	})
	before, first := digest(t, src), build(t, b, src)
	found := contents(t, first.Image)
	for _, name := range []string{"a.log", "out", "out/big"} {
		if _, ok := found[name]; ok {
			t.Errorf("the image holds %s", name)
		}
	}
	equal(t, "file", found["file"], "1")
	equal(t, "excepted file", found["keep.log"], "2")
	equal(t, "file of another folder", found["folder/b.log"], "3")

	write(t, src.Context, files{"a.log": "y", "out/big": "y", "out/new": ""})
	equal(t, "digest after a change of ignored files", digest(t, src), before)
	equal(t, "manifest after a change of ignored files", build(t, b, src).manifest(), first.manifest())
	write(t, src.Context, files{"keep.log": "4"})
	if digest(t, src) == before {
		t.Error("the digest does not cover a file that the ignore file excepts")
	}
}

// A Dockerfile's own ignore file takes the place of the context's, wherever
// the Dockerfile is.
func TestADockerfileHasItsOwnIgnoreFile(t *testing.T) {
	t.Parallel()
	b := shared(t)
	for place, dir := range map[string]string{"in the context": "", "elsewhere": t.TempDir()} {
		src := source(t, "", files{".dockerignore": "general\n", "general": "1", "special": "2"})
		if dir == "" {
			dir = src.Context
		}
		write(t, dir, files{"App.Dockerfile": "FROM scratch\nCOPY . /\n", "App.Dockerfile.dockerignore": "special\n*Dockerfile*\n"})
		src.Dockerfile = filepath.Join(dir, "App.Dockerfile")
		before, found := digest(t, src), contents(t, build(t, b, src).Image)
		equal(t, place+": file that only the other ignore file names", found["general"], "1")
		if _, ok := found["special"]; ok {
			t.Errorf("%s: the image holds the file that the Dockerfile's own ignore file names", place)
		}
		write(t, src.Context, files{"special": "3"})
		equal(t, place+": digest after a change of an ignored file", digest(t, src), before)
	}
}

// An ignore file can name the Dockerfile and itself, and the build still works.
func TestAnIgnoreFileMayIgnoreEverything(t *testing.T) {
	b := shared(t)
	src := source(t, "FROM program\nCOPY . /app/\n", files{".dockerignore": "*\n", "file": "1"})
	found := contents(t, build(t, b, src).Image)
	if len(found) != 2 || found["app"] != "folder" {
		t.Errorf("the image holds more than the program and an empty folder: %d entries", len(found))
	}
}

func TestANamedFolderHasItsIgnoreFile(t *testing.T) {
	b := shared(t)
	src := source(t, "FROM scratch\nCOPY --from=docs . /\n", nil)
	docs := t.TempDir()
	write(t, docs, files{".dockerignore": "draft\n", "page": "1", "draft": "x"})
	src.Contexts["docs"] = docs
	before, found := digest(t, src), contents(t, build(t, b, src).Image)
	equal(t, "file", found["page"], "1")
	if _, ok := found["draft"]; ok {
		t.Error("the image holds the file that the folder's ignore file names")
	}
	write(t, docs, files{"draft": "y"})
	equal(t, "digest after a change of an ignored file", digest(t, src), before)
}
