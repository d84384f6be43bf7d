package evidence

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/mrelease/mrelease/bounds"
)

// What is small stays, whatever large things were read before and after it.
func TestTheLargestAreLetGo(t *testing.T) {
	var r Recorder
	for i := range 2 * bounds.Kept / (bounds.Kept / 8) {
		r.keep(Answer{Service: Registry, Question: fmt.Sprint("layer ", i), Body: make([]byte, bounds.Kept/8+i)})
		r.keep(Answer{Service: Registry, Question: fmt.Sprint("bundle ", i), Body: make([]byte, 100)})
	}
	small, total := 0, 0
	for _, a := range r.Answers() {
		if total += len(a.Body); len(a.Body) == 100 {
			small++
		}
	}
	if small != 16 || total > bounds.Kept || total != r.size {
		t.Errorf("%d small ones, %d bytes, counted %d", small, total, r.size)
	}
}

// Whatever is read is written again as it was.
func FuzzParse(f *testing.F) {
	whole, err := File{Schema: Schema, Record: "{}", Answers: []Answer{{Service: Market, Question: "/apporders", Status: http.StatusOK, Body: []byte("{}")}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := Parse(whole); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"schema":"mrelease.evidence/v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		again, err := file.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is written as %q, %v", data, again, err)
		}
	})
}
