package record_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// A record that somebody sends is refused within 50 MB of memory.
func TestAttackRecordThatIsLarge(t *testing.T) {
	fill := func(unit string, size int) string { return strings.Repeat(unit, size/len(unit)) }
	for name, text := range map[string]string{
		"100 MB":             `{"schema":"` + fill("a", 100_000_000) + `"}`,
		"of empty materials": `{"schema":"mrelease.record/v1","source":{"materials":[` + fill("{},", bounds.Record-100) + `{}]}}`,
		"of brackets":        `{"schema":` + fill("[", bounds.Record-100),
		"of one text":        `{"schema":"` + fill("a", bounds.Record-100) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "record.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := record.ReadFile(file)
			runtime.ReadMemStats(&after)
			var wrong *record.Error
			if !errors.As(err, &wrong) {
				t.Errorf("got %v, want a *record.Error", err)
			}
			if memory := after.TotalAlloc - before.TotalAlloc; memory > 50<<20 {
				t.Errorf("it took %d MB", memory>>20)
			}
		})
	}
}

// An annotation is a text to whoever counts a manifest's values, and JSON inside.
func TestAttackMaterialsWithoutNumber(t *testing.T) {
	text := "[" + strings.Repeat("{},", bounds.Manifest/4) + "{}]"
	var source record.Source
	var larger *bounds.Error
	if err := source.ReadAnnotations(map[string]string{registry.MaterialsAnnotation: text}); !errors.As(err, &larger) || len(source.Materials) > 0 {
		t.Errorf("got %d materials, %v", len(source.Materials), err)
	}
}
