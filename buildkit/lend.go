package buildkit

import (
	"context"
	"errors"

	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"
)

// Lend returns the builder for one of several who use it at the same time: it shows its
// builds in a way of its own, and Close gives it back.
func (b *Builder) Lend(p Progress, back func() error) *Builder {
	lent := *b
	lent.progress, lent.close = p, back
	return &lent
}

// Progress is how it shows its builds.
func (b *Builder) Progress() Progress { return b.progress }

// FollowedBy has another builder go on when this one is lost: the one that next returns,
// whose error is the end of the work.
func (b *Builder) FollowedBy(next func(ctx context.Context, lost error) (*Builder, error)) *Builder {
	b.successor = next
	return b
}

// Again reports whether work that has failed is to be done again: the builder was lost in
// the middle of it, and its successor has now its place. Else it returns the error that the
// work ends with.
func (b *Builder) Again(ctx context.Context, failed error) (bool, error) {
	if failed == nil || b.successor == nil || ctx.Err() != nil || !b.isLost(ctx, failed) {
		return false, failed
	}
	next, err := b.successor(ctx, failed)
	if err != nil {
		return false, err
	}
	*b = *next
	return true, nil
}

// isLost finds out whether work failed because the builder went away: it said so, by the
// codes of a connection that broke and of a daemon that ends, or it does not answer now.
func (b *Builder) isLost(ctx context.Context, failed error) bool {
	if build, ok := errors.AsType[*BuildError](failed); ok && build.ExitCode != 0 {
		return false // a step ended by itself
	}
	switch grpcerrors.Code(failed) {
	case codes.Unavailable, codes.Canceled:
		return true
	}
	_, err := b.workers(ctx)
	return err != nil && ctx.Err() == nil
}
