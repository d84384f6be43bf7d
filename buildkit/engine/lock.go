//go:build linux && amd64

package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockRetry is how often a held lock is tried again. The kernel can wake a
// waiter of flock(2) only in a blocking call, which no context can end.
const lockRetry = 200 * time.Millisecond

// acquire takes the state folder for this process. The kernel gives the lock
// free when the process ends, however it ends.
func acquire(ctx context.Context, root string, waiting func()) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(root, lockFile))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking builder state %q: %w", root, err)
	}
	if held {
		return lock, nil
	}
	if waiting != nil {
		waiting()
	}
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return nil, fmt.Errorf("waiting for another build in %q: %w", root, err)
	}
	return lock, nil
}
