package bounds

import (
	"context"
	"errors"
	"time"
)

// Within gives an act a time, in all. Its error is a [*SlowError] when that is over,
// and else the act's.
func Within(ctx context.Context, most time.Duration, where string, act func(context.Context) error) error {
	slow := &SlowError{Where: where, What: "is not done", After: most}
	limited, cancel := context.WithTimeoutCause(ctx, most, slow)
	defer cancel()
	err := act(limited)
	if err != nil && errors.Is(context.Cause(limited), slow) {
		return slow
	}
	return err
}
