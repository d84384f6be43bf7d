package bounds

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// CheckJSON bounds what decoding a JSON document takes, before it is decoded: three
// bytes of an array can be a value of a hundred bytes in memory. It looks at
// brackets and commas outside of strings only, and leaves whether the text is JSON to
// the decoder. Its error is an [*Error].
func CheckJSON(data []byte) error { return CheckValues(data, Values) }

// CheckValues is CheckJSON for a document that may have another number of values.
func CheckValues(data []byte, most int) error {
	depth, values, quoted := 0, 1, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			values++
		case c == ']' || c == '}':
			depth--
		case c == ',':
			values++
		}
		if depth > Depth {
			return &Error{What: "its depth", Most: fmt.Sprintf("%d objects and arrays within each other", Depth)}
		}
		if values > most {
			return &Error{What: "the number of its values", Most: fmt.Sprintf("%d values", most)}
		}
	}
	return nil
}

// ReadJSON is [ReadFile] and [CheckJSON].
func ReadJSON(path string, most int64) ([]byte, error) {
	data, err := ReadFile(path, most)
	if err != nil {
		return nil, err
	}
	if err := CheckJSON(data); err != nil {
		larger := err.(*Error)
		larger.Where, larger.File = path, true
		return nil, err
	}
	return data, nil
}

// Malformed says what is wrong with a JSON document, in words where the decoder has
// none.
func Malformed(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.Is(err, io.EOF):
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
