package bounds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// takes returns the bytes that something allocates.
func takes(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestAttackFileThatIsLarge(t *testing.T) {
	dir := t.TempDir()
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"a terabyte": sparse, "a device without end": "/dev/zero"} {
		t.Run(name, func(t *testing.T) {
			var err error
			memory := takes(func() { _, err = bounds.ReadFile(file, 1000) })
			var larger *bounds.Error
			if !errors.As(err, &larger) || larger.Where != file || larger.Most != "1000 bytes" {
				t.Errorf("got %v", err)
			}
			if memory > 1<<20 {
				t.Errorf("it took %d KB", memory>>10)
			}
		})
	}
}

// What a shell hands over as a file is read to its end.
func TestReadFileOfAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, _ = w.WriteString("hello")
		_ = w.Close()
	}()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if data, err := bounds.ReadFile(path, 1000); err != nil || string(data) != "hello" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestReadFileAtTheBound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := bounds.ReadFile(file, 5); err != nil || string(data) != "12345" {
		t.Errorf("got %q, %v", data, err)
	}
	var larger *bounds.Error
	if _, err := bounds.ReadFile(file, 4); !errors.As(err, &larger) || larger.Got != "5 bytes" {
		t.Errorf("got %v", err)
	}
	if _, err := bounds.ReadFile(file+"x", 4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAttackJSON(t *testing.T) {
	for name, text := range map[string]string{
		"deep arrays":   strings.Repeat("[", 1<<20),
		"deep objects":  strings.Repeat(`{"a":`, 1<<18),
		"many numbers":  "[" + strings.Repeat("1,", 1<<20) + "1]",
		"many objects":  "[" + strings.Repeat("{},", 1<<20) + "{}]",
		"no separators": strings.Repeat("[]", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var larger *bounds.Error
			if err := bounds.CheckJSON([]byte(text)); !errors.As(err, &larger) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, text := range map[string]string{
		"in a text":             `{"a":"` + strings.Repeat("[{,", 1<<20) + `"}`,
		"behind an escape":      `{"a":"\"` + strings.Repeat("[{,", 1<<20) + `"}`,
		"behind a backslash":    `["\\",1]`,
		"no JSON":               `hello`,
		"nested within measure": strings.Repeat("[", bounds.Depth) + strings.Repeat("]", bounds.Depth),
	} {
		if err := bounds.CheckJSON([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever CheckJSON lets through, the decoder takes for no more than it counted.
func FuzzCheckJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,2,{"b":"\\\""}]}`, `["[",{}]`, `"\u005b"`, strings.Repeat("[", 70)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if bounds.CheckJSON([]byte(text)) != nil {
			return
		}
		var value any
		if json.Unmarshal([]byte(text), &value) == nil && depth(value) > bounds.Depth {
			t.Errorf("%d deep", depth(value))
		}
	})
}

func depth(value any) int {
	deepest := -1
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	case map[string]any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
	default:
		return 0
	}
	return 1 + max(deepest, 0)
}

func TestWithin(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	var slow *bounds.SlowError
	if err := bounds.Within(t.Context(), time.Millisecond, "waiting", wait); !errors.As(err, &slow) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bounds.Within(ctx, time.Minute, "waiting", wait); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := bounds.Within(t.Context(), time.Minute, "waiting", func(context.Context) error { return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}
