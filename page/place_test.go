package page_test

import (
	"fmt"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/settings"
)

func TestPlaces(t *testing.T) {
	wrong := &settings.Error{Problems: []settings.Problem{{Where: "m.yaml:3:5", Key: "image", Text: "bad"}, {Where: "flag --image", Text: "bad"}}}
	for err, want := range map[error]string{
		fmt.Errorf("a: %w", wrong): "[{m.yaml 3 5 image: bad}]",
		&buildkit.BuildError{Dockerfile: "Dockerfile", Line: 7, Err: fmt.Errorf("no")}: "Dockerfile 7 0",
		&buildkit.BuildError{Dockerfile: "Dockerfile", Err: fmt.Errorf("no")}:          "[]",
		&buildkit.IgnoreError{File: ".dockerignore", Line: 2, Err: fmt.Errorf("no")}:   ".dockerignore 2 0",
		fmt.Errorf("else"): "[]",
	} {
		got := page.Places(err)
		if text := fmt.Sprint(got); text != want && (len(got) != 1 || fmt.Sprint(got[0].File, " ", got[0].Line, " ", got[0].Column) != want) {
			t.Errorf("%v: %v, want %s", err, got, want)
		}
	}
}
