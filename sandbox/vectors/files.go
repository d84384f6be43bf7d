package vectors

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mrelease/mrelease/publish/evidence"
)

// files adds vectors of what is no file of --save.
func (s *set) files(b base) error {
	text, err := b.file.Encode()
	if err != nil {
		return err
	}
	bad := refused(exitUsage, malformed)
	replace := func(old, new string) []byte { return bytes.Replace(text, []byte(old), []byte(new), 1) }
	for _, other := range []struct {
		says string
		file []byte
	}{
		{"an empty file", nil},
		{"a file of another schema", replace(evidence.Schema, "mrelease.evidence/v2")},
		{"a file of no schema", replace(`"schema": "`+evidence.Schema+`",`, "")},
		{"a record in the place of a file", []byte(b.file.Record)},
		{"a file that is cut", text[:len(text)/2]},
		{"a file with a byte more", append(slices.Clone(text), ' ')},
		{"a file without its last line feed", text[:len(text)-1]},
		{"two files", append(slices.Clone(text), text...)},
		{"a file with a member more", replace("{\n", "{\n \"more\": 1,\n")},
		{"a file with a member twice", replace("{\n", "{\n \"record\": \"\",\n")},
		{"a file with a member in capitals", replace(`"made"`, `"Made"`)},
		{"a file with an escaped letter", replace(`"schema": "m`, `"schema": "\u006d`)},
		{"a file of deep lists", bytes.Repeat([]byte("["), 10_000)},
		{"a file that begins with a mark of byte order", append([]byte("\xef\xbb\xbf"), text...)},
		{"a file that is not UTF-8", replace(`"schema"`, "\"\xff\"")},
		{"a file that is a list", []byte("[]\n")},
		{"a file that is null", []byte("null\n")},
		{"a file of zeros", make([]byte, 1000)},
	} {
		s.raw("14.1", other.says, other.file, bad, "--block", b.block)
	}
	for _, other := range []struct {
		says   string
		change func(f *evidence.File)
	}{
		{"a time that is not in UTC", func(f *evidence.File) { f.Made = f.Made.In(time.FixedZone("", 3600)) }},
		{"a time with parts of a second", func(f *evidence.File) { f.Made = f.Made.Add(time.Millisecond) }},
		{"answers in another order", func(f *evidence.File) { slices.Reverse(f.Answers) }},
		{"an answer twice", func(f *evidence.File) { f.Answers = slices.Insert(f.Answers, 0, f.Answers[0]) }},
		{"an answer of nobody that is known", func(f *evidence.File) { f.Answers[0].Service = "oracle" }},
		{"an answer that is an error", func(f *evidence.File) { f.Answers[0].Status = http.StatusInternalServerError }},
		{"an answer that sends elsewhere", func(f *evidence.File) { f.Answers[0].Status = http.StatusFound }},
		{"more answers than are read", func(f *evidence.File) {
			f.Answers = nil
			for i := range 10_000 {
				f.Answers = append(f.Answers, evidence.Answer{Service: evidence.Node, Question: fmt.Sprintf("eth_call [%05d]", i), Status: http.StatusOK})
			}
		}},
		{"a reason without end for a proof that is missing", func(f *evidence.File) { f.Unproven = strings.Repeat("a", 10_000) }},
	} {
		b := b.fork()
		other.change(&b.file)
		if err := s.add("14.1", other.says, b, bad); err != nil {
			return err
		}
	}
	return nil
}
