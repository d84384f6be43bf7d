package measure_test

import (
	"testing"

	"github.com/mrelease/mrelease/measure"
)

// Which sources state the measurement is told, and why another does not.
func TestAgreement(t *testing.T) {
	fingerprint := key + "|" + tag + "|" + hash
	file := map[string]string{"conf/fingerprint.txt": fingerprint}
	printed := "MREnclave: " + fingerprint + "\n"
	for name, tt := range map[string]struct {
		files map[string]string
		log   string
		want  string
	}{
		"all":            {file, printed, "3 sources agree"},
		"no build":       {file, "", "2 sources agree; no build output: the image was there, or its steps were cached"},
		"a step not run": {file, "#5 CACHED\n", "2 sources agree; the build printed none: the step was cached, or does not print it"},
		"no file":        {nil, printed, "2 sources agree; the image has no /conf/fingerprint.txt"},
	} {
		spec := legacy()
		spec.Log = []byte(tt.log)
		got, err := measure.Image(t.Context(), program{stdout: hash}, image(t, tt.files), spec)
		if err != nil || got.Agreement() != tt.want {
			t.Errorf("%s: %q, %v; want %q", name, got.Agreement(), err, tt.want)
		}
	}
}
