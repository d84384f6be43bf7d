package release

import (
	"context"
	"errors"
	"testing"
)

// What is said of an interrupted release is what its parts said, in whatever step.
func TestInterruptedSaysWhatIsTrue(t *testing.T) {
	stopped := context.Canceled
	for name, tt := range map[string]struct {
		parts []string // that were told, the last of which failed if it ends with !
		at    int      // the step
		want  string
	}{
		"before all":                 {nil, 0, "interrupted: done nothing; not done inputs, build, measure, lock, keys, push, sign, attest, register, offer, retire, record, confirm"},
		"in the inputs":              {[]string{"inputs!"}, 0, "interrupted: done nothing; begun inputs; not done build, measure, lock, keys, push, sign, attest, register, offer, retire, record, confirm"},
		"in the build, keys checked": {[]string{"inputs", "keys", "build!"}, 1, "interrupted: done inputs, keys; begun build; not done measure, lock, push, sign, attest, register, offer, retire, record, confirm"},
		"while keys are checked":     {[]string{"inputs", "keys!"}, 1, "interrupted: done inputs; begun keys; not done build, measure, lock, push, sign, attest, register, offer, retire, record, confirm"},
		"in the seal":                {[]string{"inputs", "keys", "build", "seal!"}, 1, "interrupted: done inputs, keys, build; begun seal; not done measure, lock, push, sign, attest, register, offer, retire, record, confirm"},
		"the image was there":        {[]string{"inputs", "measure!"}, 2, "interrupted: done inputs; begun measure; not done lock, keys, push, sign, attest, register, offer, retire, record, confirm"},
		"between two":                {[]string{"inputs", "keys", "build", "measure", "push"}, 6, "interrupted: done inputs, keys, build, measure, push; not done sign, attest, register, offer, retire, record, confirm"},
		"in the last":                {[]string{"inputs", "measure", "keys", "push", "sign", "attest", "register", "offer", "retire", "record", "confirm!"}, 12, "interrupted: done inputs, measure, keys, push, sign, attest, register, offer, retire, record; begun confirm"},
	} {
		m := &memory{Teller: silent{}, evidence: map[string]string{}}
		for _, part := range tt.parts {
			failed := part[len(part)-1] == '!'
			if failed {
				m.Step(part[:len(part)-1])("", stopped)
			} else {
				m.Step(part)("", nil)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := m.interrupted(ctx, Release{}.steps()[tt.at:], stopped)
		if err.Error() != tt.want || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %q, want %q", name, err, tt.want)
		}
		if plain := errors.New("failed"); m.interrupted(t.Context(), nil, plain) != plain {
			t.Errorf("%s: a step that failed by itself was told as interrupted", name)
		}
	}
}
