package iexeccli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// File is the file that makes a folder a project of iExec's command line.
const File = "iexec.json"

// Project is what the files say. Whatever is zero, they do not say.
type Project struct {
	Name    string
	Owner   common.Address
	Image   string // repository without tag
	Format  measure.Format
	Enclave measure.Object // with format json; its Fingerprint stays zero
	Chain   poco.Chain     // a built-in one, possibly with other addresses, or one of the project's own
	Order   Terms
	Wallet  string // keystore file in the folder

	Took []Note // what was taken
	Left []Note // what was not, and why
	// Undecided are the keys of mrelease.yaml whose value could not be taken, with what
	// the files say: their defaults may be weaker than what was meant.
	Undecided map[string]Note
}

// Terms are those of the app's order. A nil pointer is a term that is not said.
type Terms struct {
	Price, Volume *uint64
	Tag           *poco.Tag

	DatasetRestrict, WorkerpoolRestrict, RequesterRestrict common.Address
}

// Note is about one value of the files.
type Note struct {
	From string // such as "iexec.json app.name"
	Text string
}

// Read reads the project in a folder. Its error is an [fs.ErrNotExist] when
// there is no iexec.json, or says why that is no JSON; the other files are left
// out when they cannot be read.
func Read(dir string) (Project, error) {
	r := reader{dir: dir}
	main, err := r.object(File)
	if err != nil {
		return Project{}, err
	}
	r.app(value{File + " app", main["app"]})
	r.chain()
	r.order(main)
	r.wallet()
	return r.Project, nil
}

type reader struct {
	dir string
	Project
}

// object reads one of the files.
func (r *reader) object(name string) (map[string]any, error) {
	data, err := bounds.ReadJSON(filepath.Join(r.dir, name), bounds.Project)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var o map[string]any
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, inWords(data, err))
	}
	return o, nil
}

// inWords says why a text is no JSON object, and in which line.
func inWords(data []byte, err error) error {
	var other *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("it is empty")
	case errors.As(err, &other):
		return fmt.Errorf("it is no JSON object: it holds one %s", other.Value)
	case errors.As(err, &syntax):
		at := min(max(syntax.Offset, 0), int64(len(data)))
		return fmt.Errorf("it is no JSON: line %d: %w", 1+bytes.Count(data[:at], []byte("\n")), err)
	}
	return err
}

// optional is object for a file that need not be there. One that is there and cannot be
// read leaves the key undecided that it would have decided, if there is such a key.
func (r *reader) optional(name, key string) value {
	o, err := r.object(name)
	switch {
	case err == nil:
		return value{name, o}
	case errors.Is(err, fs.ErrNotExist):
	case key == "":
		r.leave(value{from: name}, "%v", err)
	default:
		r.undecided(key, value{name, err.Error()}, "%v", err)
	}
	return value{from: name}
}

func (r *reader) take(v value, format string, args ...any) {
	r.Took = append(r.Took, Note{v.from, fmt.Sprintf(format, args...)})
}

func (r *reader) leave(v value, format string, args ...any) {
	r.Left = append(r.Left, Note{v.from, fmt.Sprintf(format, args...)})
}

// undecided leaves out what a key of mrelease.yaml should get.
func (r *reader) undecided(key string, v value, format string, args ...any) {
	if r.Undecided == nil {
		r.Undecided = map[string]Note{}
	}
	r.Undecided[key] = Note{v.from, fmt.Sprint(v.is)}
	r.leave(v, format, args...)
}

// value is a value of a file, or nil, with its place.
type value struct {
	from string
	is   any
}

// field returns a field of an object; there is none in anything else.
func (v value) field(name string) value {
	o, _ := v.is.(map[string]any)
	from := v.from + "." + name
	if filepath.Ext(v.from) == ".json" {
		from = v.from + " " + name
	}
	return value{from, o[name]}
}

// text returns a string or a whole number as text, and "" for anything else.
func (v value) text() string {
	switch v := v.is.(type) {
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= poco.MaxAmount {
			return fmt.Sprintf("%.0f", v)
		}
	}
	return ""
}
