package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// fill writes a file of a text that is repeated:
//
//	fill FILE BEFORE UNIT TIMES [AFTER]
func fill(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 4 && len(args) != 5 {
		ts.Fatalf("usage: fill FILE BEFORE UNIT TIMES [AFTER]")
	}
	times, err := strconv.Atoi(args[3])
	ts.Check(err)
	text := args[1] + strings.Repeat(args[2], times) + strings.Join(args[4:], "")
	ts.Check(writeFile(ts.MkAbs(args[0]), text))
}

// refer adds referrers to an image that no release makes, as anybody who may push can:
//
//	refer TAG image|index TIMES
//
// The digest of the last one is in $REFERRER.
func refer(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: refer TAG image|index TIMES")
	}
	times, err := strconv.Atoi(args[2])
	ts.Check(err)
	ctx := context.Background()
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	subject, err := remote.Head(repo.Tag(args[0]), remote.WithContext(ctx))
	ts.Check(err)
	for i := range times {
		digest, err := referrer(ctx, repo, *subject, args[1], i)
		ts.Check(err)
		ts.Setenv("REFERRER", digest.String())
	}
}

func referrer(ctx context.Context, repo name.Repository, subject v1.Descriptor, kind string, i int) (v1.Hash, error) {
	note := map[string]string{"n": fmt.Sprint(i)}
	if kind == "index" {
		index := mutate.Subject(mutate.Annotations(empty.Index, note).(v1.ImageIndex), subject).(v1.ImageIndex)
		digest, err := index.Digest()
		if err != nil {
			return digest, err
		}
		return digest, remote.WriteIndex(repo.Digest(digest.String()), index, remote.WithContext(ctx))
	}
	image := mutate.Subject(mutate.Annotations(mutate.MediaType(empty.Image, types.OCIManifestSchema1), note).(v1.Image), subject).(v1.Image)
	digest, err := image.Digest()
	if err != nil {
		return digest, err
	}
	return digest, remote.Write(repo.Digest(digest.String()), image, remote.WithContext(ctx))
}
