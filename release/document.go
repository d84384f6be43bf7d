package release

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mrelease/mrelease/approval"
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
		return record.Record{}, cmp.Or(noFile(path), fmt.Errorf("reading record: %w", err))
	}
	return parseRecord(path, data)
}

// parseRecord says of what is no record what it is.
func parseRecord(path string, data []byte) (record.Record, error) {
	if bounds.CheckJSON(data) == nil {
		if is := document.Of(data); !IsRecord(is, data) {
			return record.Record{}, &document.Error{File: path, Want: "record (schema " + record.Schema + ")", Is: is.String()}
		}
	}
	return record.Parse(data)
}

// noFile says what is named in place of a record's file: a folder, or an image. It is nil
// for what may be the path of one.
func noFile(path string) error {
	is := ""
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		is = "a folder"
		if _, err := os.Stat(filepath.Join(path, v1.ImageLayoutFile)); err == nil {
			is = "the folder of an image: its record is another file"
		}
	} else if ref, err := reference(path); err == nil {
		is = "the reference of an image (" + ref.Name() + "), whose record the release wrote into a file; and there is no file of that name"
	}
	if is == "" {
		return nil
	}
	return &document.Error{File: path, Want: "record (schema " + record.Schema + ")", Is: is}
}

// IsRecord reports whether a file is a record, or was one before somebody changed it.
func IsRecord(is document.Document, data []byte) bool {
	family, _, _ := strings.Cut(record.Schema, "/")
	if strings.HasPrefix(is.Schema, family+"/") || is.Schema != approval.Schema && is.Has("image", "enclave", "app", "order") {
		return true
	}
	return is.Schema == "" && !json.Valid(data) && bytes.Contains(data, []byte(family+"/"))
}
