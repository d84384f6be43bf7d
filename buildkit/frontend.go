package buildkit

import (
	"context"
	"encoding/json"
	"fmt"

	commonexptypes "github.com/moby/buildkit/exporter/exptypes"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The Dockerfile frontend runs in this process, whatever the builder: the same
// one everywhere, and what it asks the builder for can be changed on the way, see
// stamp.go.

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
