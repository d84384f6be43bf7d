package buildkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// sourcesVersion heads the encoding; another encoding gets another name.
const sourcesVersion = "mrelease sources 2"

// Digest returns the sources digest: a SHA-256 over everything that goes into
// the build and is known before it. Two sources with equal digests ask for the
// same image, whatever the path, the user, the umask and the clock of the
// checkout. Annotations, NoCache, Keychain and the values of secrets are not
// covered.
//
// The digest is taken over a sequence of fields. A field is a byte string,
// preceded by its length in bytes as eight bytes, big-endian. Numbers are
// decimal text. A map is the number of its keys and then, in the byte order of
// the keys, each key and its value. The fields are:
//
//	"mrelease sources 2"
//	"linux/amd64"
//	the Dockerfile
//	Target
//	Network
//	Epoch, in seconds since 1970
//	Created, likewise
//	Compression, unless it is gzip
//	Args, a map
//	Bases, a map, with the keys shortened as Docker shortens references
//	    ("docker.io/library/debian:latest" is "debian")
//	Purpose, a map
//	the number of secrets, and their ids in byte order
//	the number of named contexts and then, in the byte order of their
//	    shortened names: the name; and "image" and the reference, or "layout"
//	    and the digest, or "folder" and the tree
//	the tree of Context
//
// A tree is the number of its entries and then, in the byte order of their
// slash-separated paths, for each entry: the path; and "folder", or "file" or
// "executable" and the SHA-256 of the content in lower-case hex, or "link" and
// its target. A tree holds what is sent to the builder: what .dockerignore
// names is not in it.
//
// Digest reads every file once and holds none in memory. It fails with the
// errors of Validate, or a wrapped one when a file cannot be read.
func (s Source) Digest(ctx context.Context) (v1.Hash, error) {
	in, err := s.read(ctx)
	if err != nil {
		return v1.Hash{}, err
	}
	return s.digest(in), nil
}

func (s Source) digest(in inputs) v1.Hash {
	f := fields{sha256.New()}
	f.write(sourcesVersion, platform, string(in.dockerfile), s.Target, cmp.Or(s.Network, NetworkHost),
		strconv.FormatInt(s.epoch().Unix(), 10), strconv.FormatInt(s.created().Unix(), 10))
	if s.Compression == CompressionZstd {
		f.write(s.Compression) // no number, as which the next field begins
	}
	f.writeMap(s.Args)
	f.writeMap(shortened(s.Bases))
	f.writeMap(s.Purpose)
	f.writeList(slices.Sorted(maps.Keys(s.Secrets)))
	f.write(strconv.Itoa(len(in.contexts)))
	for _, name := range slices.Sorted(maps.Keys(in.contexts)) {
		f.write(name)
		f.writeContext(in.contexts[name])
	}
	f.writeTree(in.context)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(f.Sum(nil))}
}

// fields writes length-prefixed fields to a hash. A hash never fails to write.
type fields struct{ hash.Hash }

func (f fields) write(values ...string) {
	for _, value := range values {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(value)))
		f.Write(length[:])
		io.WriteString(f, value)
	}
}

func (f fields) writeList(values []string) {
	f.write(strconv.Itoa(len(values)))
	f.write(values...)
}

func (f fields) writeMap(m map[string]string) {
	f.write(strconv.Itoa(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		f.write(key, m[key])
	}
}

func (f fields) writeContext(c namedContext) {
	switch {
	case c.image != "":
		f.write("image", c.image)
	case c.layout != "":
		f.write("layout", c.digest.String())
	default:
		f.write("folder")
		f.writeTree(c.tree)
	}
}

func (f fields) writeTree(t tree) {
	f.write(strconv.Itoa(len(t.entries)))
	for _, path := range slices.Sorted(maps.Keys(t.entries)) {
		entry := t.entries[path]
		f.write(path, entry.kind)
		if entry.value != "" {
			f.write(entry.value)
		}
	}
}
