package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/publish/record"
)

// ReadRecord reads the record of a release. A file that is something else is a
// [*document.Error]; a record that was changed, in whatever way, a [*record.Error].
func ReadRecord(path string) (record.Record, error) {
	data, err := bounds.ReadFile(path, bounds.Record)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return record.Record{}, &record.Error{Problem: "cannot be read: " + larger.Reason(), Got: path, Want: "at most " + larger.Most}
	}
	if err != nil {
		return record.Record{}, fmt.Errorf("reading record: %w", err)
	}
	if bounds.CheckJSON(data) == nil {
		if is := document.Of(data); !IsRecord(is, data) {
			return record.Record{}, &document.Error{File: path, Want: "record (schema " + record.Schema + ")", Is: is.String()}
		}
	}
	return record.Parse(data)
}

// IsRecord reports whether a file is a record, or was one before somebody changed it.
func IsRecord(is document.Document, data []byte) bool {
	family, _, _ := strings.Cut(record.Schema, "/")
	if strings.HasPrefix(is.Schema, family+"/") || is.Has("image", "enclave", "app", "order") {
		return true
	}
	return is.Schema == "" && !json.Valid(data) && bytes.Contains(data, []byte(family+"/"))
}
