package measure_test

import (
	"testing"

	"github.com/mrelease/mrelease/measure"
)

func TestFormatSize(t *testing.T) {
	for text, want := range map[string]string{
		"1073741824": "1G", "1048576K": "1G", "1024M": "1G", "1G": "1G", "64M": "64M", "1536M": "1536M", "1000": "1000", "0": "0",
		"": "", "yes": "yes", "1T": "1T", "99999999999999999999": "99999999999999999999",
	} {
		if got := measure.FormatSize(text); got != want {
			t.Errorf("FormatSize(%q) = %q, want %q", text, got, want)
		}
	}
}
