package buildkit

import (
	"context"
	"encoding/json"
	"fmt"

	commonexptypes "github.com/moby/buildkit/exporter/exptypes"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/proto"
)

// The Dockerfile frontend runs in this process, whatever the builder: the same
// one everywhere, and what it asks the builder for can be changed on the way.
//
// BuildKit knows a copied file by its content and mode, not by its time. So a
// builder that has built before, for whomever, may take a file with another time
// from its cache, and a RUN step that writes times down (tar, Python's bytecode)
// with it. Therefore each copy is told which time to give to its files: then the
// time is part of what the cache knows the copy by.

// plan is what the frontend says of the image before it is built.
type plan struct {
	base    ocispec.Image     // what the image begins with
	history []ocispec.History // of the base and the steps
}

// frontend returns the build of the Dockerfile. What it says goes to p.
func (s Source) frontend(p *plan) gateway.BuildFunc {
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		result, err := dockerfile.Build(ctx, stamper{c, s.epoch().UnixNano()})
		if err != nil {
			return nil, err
		}
		// The times are set here, in both directions; BuildKit only lowers them.
		delete(result.Metadata, commonexptypes.ExporterEpochKey)
		if config := result.Metadata[exptypes.ExporterImageBaseConfigKey]; len(config) > 0 {
			if err := json.Unmarshal(config, &p.base); err != nil {
				return nil, fmt.Errorf("parsing configuration of base image: %w", err)
			}
		}
		var image ocispec.Image
		if err := json.Unmarshal(result.Metadata[exptypes.ExporterImageConfigKey], &image); err != nil {
			return nil, fmt.Errorf("parsing image configuration: %w", err)
		}
		p.history = image.History
		return result, nil
	}
}

// stamper is a builder's gateway that gives each copied file one time.
type stamper struct {
	gateway.Client
	nanoseconds int64 // since 1970
}

// Solve implements gateway.Client.
func (c stamper) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Definition != nil {
		stamped, err := stamp(req.Definition, c.nanoseconds)
		if err != nil {
			return nil, err
		}
		req.Definition = stamped
	}
	return c.Client.Solve(ctx, req)
}

// stamp sets the time of the files that a build's steps copy and make. An
// operation is named by its digest, so those that depend on a changed one change
// too. The inputs of an operation stand before it (solver/pb/ops.proto).
func stamp(def *pb.Definition, nanoseconds int64) (*pb.Definition, error) {
	stamped := &pb.Definition{Metadata: map[string]*pb.OpMetadata{}}
	names := map[string]string{} // by the digest that an operation had
	for _, encoded := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(encoded); err != nil {
			return nil, fmt.Errorf("parsing build step: %w", err)
		}
		for _, input := range op.Inputs {
			name, ok := names[input.Digest]
			if !ok {
				return nil, fmt.Errorf("parsing build step: input %s does not stand before it", input.Digest)
			}
			input.Digest = name
		}
		for _, action := range op.GetFile().GetActions() {
			stampAction(action, nanoseconds)
		}
		changed, err := proto.MarshalOptions{Deterministic: true}.Marshal(&op)
		if err != nil {
			return nil, fmt.Errorf("encoding build step: %w", err)
		}
		was, is := digest.FromBytes(encoded).String(), digest.FromBytes(changed).String()
		names[was] = is
		stamped.Def = append(stamped.Def, changed)
		if meta, ok := def.Metadata[was]; ok {
			stamped.Metadata[is] = meta
		}
	}
	stamped.Source = renameLocations(def.Source, names)
	return stamped, nil
}

func stampAction(action *pb.FileAction, nanoseconds int64) {
	if a := action.GetCopy(); a != nil {
		a.Timestamp = nanoseconds
	}
	if a := action.GetMkfile(); a != nil {
		a.Timestamp = nanoseconds
	}
	if a := action.GetMkdir(); a != nil {
		a.Timestamp = nanoseconds
	}
}

// renameLocations keeps what leads from an operation to its line of the
// Dockerfile.
func renameLocations(source *pb.Source, names map[string]string) *pb.Source {
	if source == nil {
		return nil
	}
	renamed := &pb.Source{Infos: source.Infos, Locations: map[string]*pb.Locations{}}
	for was, locations := range source.Locations {
		renamed.Locations[names[was]] = locations
	}
	return renamed
}
