package buildkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
)

// inputs is what a source named, as it was read.
type inputs struct {
	of         Source // whose they are
	dockerfile []byte
	frontend   tree // the Dockerfile and its own ignore file
	context    tree
	contexts   map[string]namedContext // by shortened name
	refuse     func(error)             // ends a build whose sources changed
	marks      marks                   // of what is sent
}

// namedContext is one of: an image reference, a layout folder with a digest, a
// folder.
type namedContext struct {
	image  string
	layout string
	digest digest.Digest
	tree   tree
}

// tree is a folder in normal form without the files its ignore file names.
type tree struct {
	fs      *normalFS
	entries map[string]entry // by slash-separated path
}

// entry is a kind ("folder", "file", "executable", "link"), the SHA-256 of a
// file or the target of a link, and what the builder is told of it.
type entry struct {
	kind, value string
	stat        *types.Stat
}

// Read reads every file of the source once, for all that is done with the returned
// source: its digest is that of what was read, and it is built of nothing else, so a
// file that changes after Read ends the build. The fields that do not name files can
// be set afterwards. It fails as Digest does.
func (s Source) Read(ctx context.Context) (Source, error) {
	in, err := s.read(ctx)
	if err != nil {
		return Source{}, err
	}
	s.was = &in
	return s, nil
}

// isOf reports whether another source names the same files.
func (in *inputs) isOf(s Source) bool {
	return in != nil && in.of.Context == s.Context && in.of.path() == s.path() &&
		slices.Equal(in.of.Ignore, s.Ignore) && maps.Equal(in.of.Contexts, s.Contexts)
}

// read validates the source and reads everything that goes into its digest, unless
// that was done.
func (s Source) read(ctx context.Context) (in inputs, err error) {
	if err := s.Validate(); err != nil {
		return inputs{}, err
	}
	if s.was.isOf(s) {
		return *s.was, nil
	}
	in.of = s
	if in.dockerfile, err = bounds.ReadFile(s.path(), bounds.Dockerfile); err != nil {
		return inputs{}, fmt.Errorf("reading Dockerfile: %w", err)
	}
	if in.frontend, err = s.readFrontend(in.dockerfile); err != nil {
		return inputs{}, err
	}
	if in.context, err = s.readTree(ctx, s.Context, s.IgnoreFile(), s.Ignore...); err != nil {
		return inputs{}, err
	}
	in.contexts = make(map[string]namedContext, len(s.Contexts))
	for name, value := range shortened(s.Contexts) {
		if in.contexts[name], err = s.readContext(ctx, value); err != nil {
			return inputs{}, err
		}
	}
	return in, nil
}

func (s Source) readContext(ctx context.Context, value string) (namedContext, error) {
	if image, ok := strings.CutPrefix(value, schemeImage); ok {
		return namedContext{image: image}, nil
	}
	if strings.HasPrefix(value, schemeLayout) {
		folder, d, err := parseLayout(value)
		return namedContext{layout: folder, digest: d}, err
	}
	t, err := s.readTree(ctx, value, filepath.Join(value, ".dockerignore"))
	return namedContext{tree: t}, err
}

// readFrontend makes a tree of what the Dockerfile frontend asks for beside the
// context. Either file may be a link to elsewhere.
func (s Source) readFrontend(dockerfile []byte) (tree, error) {
	folder, file := filepath.Split(s.path())
	normal, err := newNormalFS(filepath.Clean(folder))
	if err != nil {
		return tree{}, err
	}
	t := tree{normal, map[string]entry{file: normal.file(file, dockerfile)}}
	own := file + ".dockerignore"
	ignore, err := bounds.ReadFile(filepath.Join(folder, own), bounds.Dockerfile)
	if err == nil {
		t.entries[own] = normal.file(own, ignore)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return tree{}, fmt.Errorf("reading ignore file: %w", err)
	}
	return t, nil
}

// shortened brings the keys of a validated map of references to one form.
func shortened(m map[string]string) map[string]string {
	short := make(map[string]string, len(m))
	for key, value := range m {
		if name, err := contextName(key); err == nil {
			short[name] = value
		}
	}
	return short
}

// readTree walks a folder with the filter that BuildKit's file transfer puts
// over it, so that it sees what will be sent.
func (s Source) readTree(ctx context.Context, root, ignore string, more ...string) (tree, error) {
	normal, sent, err := filtered(root, ignore, more)
	if err != nil {
		return tree{}, err
	}
	all, err := list(ctx, sent)
	if err != nil {
		return tree{}, fmt.Errorf("reading %q: %w", root, err)
	}
	if err := hashFiles(ctx, normal, all); err != nil {
		return tree{}, fmt.Errorf("reading %q: %w", root, err)
	}
	entries := make(map[string]entry, len(all))
	for _, e := range all {
		entries[filepath.ToSlash(e.stat.Path)] = e
	}
	return tree{fs: normal, entries: entries}, nil
}

// list walks a folder; files have no hash yet.
func list(ctx context.Context, sent fsutil.FS) (all []entry, err error) {
	err = sent.Walk(ctx, "/", func(_ string, found fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e, err := readEntry(found)
		all = append(all, e)
		return err
	})
	return all, err
}

// hashFiles hashes the files among the entries of a folder, some beside each other, and
// all through the same few buffers: with many small files these would be most of the
// memory that is used.
func hashFiles(ctx context.Context, folder fsutil.FS, all []entry) error {
	hashing, ctx := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		hashing.Go(func() (err error) {
			buffer := make([]byte, copyBuffer)
			for i := taken.Add(1) - 1; i < int64(len(all)) && err == nil; i = taken.Add(1) - 1 {
				if e := &all[i]; e.kind == "file" || e.kind == "executable" {
					e.value, err = hashFile(folder, e.stat.Path, buffer)
				}
				err = cmp.Or(err, ctx.Err())
			}
			return err
		})
	}
	return hashing.Wait()
}

// copyBuffer is the size of buffers that are used for many files, in bytes.
const copyBuffer = 64 << 10

// filtered opens a folder, and the part of it that is sent.
func filtered(root, ignore string, more []string) (*normalFS, fsutil.FS, error) {
	rules, err := readIgnore(ignore)
	if err != nil {
		return nil, nil, err
	}
	normal, err := newNormalFS(root)
	if err != nil {
		return nil, nil, err
	}
	sent, err := fsutil.NewFilterFS(normal, &fsutil.FilterOpt{ExcludePatterns: append(rules.patterns, more...)})
	if err != nil {
		return nil, nil, fmt.Errorf("filtering %q: %w", root, err)
	}
	return normal, sent, nil
}

func readEntry(found fs.DirEntry) (entry, error) {
	info, err := found.Info()
	if err != nil {
		return entry{}, err
	}
	stat := info.Sys().(*types.Stat)
	switch mode := info.Mode(); {
	case mode.IsDir():
		return entry{"folder", "", stat}, nil
	case mode.Type() == fs.ModeSymlink:
		return entry{"link", filepath.ToSlash(stat.Linkname), stat}, nil
	case mode&0o100 != 0:
		return entry{"executable", "", stat}, nil
	default:
		return entry{"file", "", stat}, nil
	}
}

func hashFile(files fsutil.FS, path string, buffer []byte) (string, error) {
	file, err := files.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %q: %v", path, err) // not wrapped, as in normalEntry
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{file}, buffer); err != nil { // a file itself would bring its own buffer
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
