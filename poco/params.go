package poco

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Params tell a run what to do. An order holds them as a text: a JSON object since
// version 5 of iExec's SDK, in 2019 the command that was launched, such as
// "python3 /app/app.py". What is no such object is taken for Args still: by SDK and
// scheduler, and without a word, so that an object with one unknown key is a
// command line there (DealParams in iexec-commons-poco).
type Params struct {
	Args         string            `json:"iexec_args,omitempty"`
	InputFiles   []string          `json:"iexec_input_files,omitempty"` // URLs
	Secrets      map[string]string `json:"iexec_secrets,omitempty"`     // names of the requester's, by their number from 1 on
	Encrypt      bool              `json:"iexec_result_encryption,omitempty"`
	Storage      string            `json:"iexec_result_storage_provider,omitempty"`
	StorageProxy string            `json:"iexec_result_storage_proxy,omitempty"` // until SDK 8
	BulkCID      string            `json:"bulk_cid,omitempty"`                   // since SDK 8.22
}

// Storages are where a result can be put; ipfs is what SDKs write when nobody says.
func Storages() []string { return []string{"ipfs", "dropbox"} }

// ParseParams reads the params of an order. A text that begins as an object and is none
// that the scheduler reads is an error: it would be taken for a command. So is one that
// is no UTF-8, as the contract's string is.
func ParseParams(text string) (Params, error) {
	if !utf8.ValidString(text) {
		return Params{}, errors.New("reading params: they are no UTF-8")
	}
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return Params{Args: text}, nil
	}
	var keys map[string]json.RawMessage
	var p Params
	err := json.Unmarshal([]byte(text), &keys)
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		return Params{}, fmt.Errorf("reading params: %w", err)
	}
	for key := range keys { // which the decoder takes in any letter case
		if !slices.Contains(paramKeys(), key) {
			return Params{}, fmt.Errorf("reading params: unknown key %q, with which all of it would be taken for a command", key)
		}
	}
	return p, nil
}

// paramKeys returns the keys of Params.
func paramKeys() (keys []string) {
	for field := range reflect.TypeFor[Params]().Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}

// Text returns the params as they stand in an order: an object without spaces.
func (p Params) Text() (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return "", fmt.Errorf("encoding params: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// DoubtParams says what of params may not do what was meant, for an order's tag and its app's
// enclave value (nil: it is not known); "" for nothing. In 2019 a text was the command that
// the run launched. Since 2020 an app has its command in its fingerprint, and a text is
// arguments to that: it still runs, as another one.
func DoubtParams(text string, tag Tag, mrenclave []byte) string {
	params, err := ParseParams(text)
	if err != nil || params.Args == "" || params.Args != text {
		return ""
	}
	named := ""
	if bits, value := frameworkBits(tag), frameworkOf(mrenclave); len(bits) > 0 {
		named = "with " + strings.Join(bits, ", ") + " in its tag a run"
	} else if value != "" && value != unnamed {
		named = "a run of this app, whose enclave value is one of " + value + ","
	}
	object, err := Params{Args: text}.Text()
	if named == "" || err != nil {
		return ""
	}
	return fmt.Sprintf("params are a text: %s takes it as arguments to the app's own command, not as the command, and encrypts no result; as an object, which says so: %s", named, object)
}

// Check says why no run can be given the params, for an order's tag. The rules are those
// of objParamsSchema in iExec's SDK, and what its command line says of encryption.
func (p Params) Check(tag Tag) error {
	for _, file := range p.InputFiles {
		if u, err := url.Parse(file); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("iexec_input_files: want URLs of http or https, got %q", file)
		}
	}
	for number, name := range p.Secrets {
		if !regexp.MustCompile(`^[1-9][0-9]{0,8}$`).MatchString(number) || name == "" {
			return fmt.Errorf("iexec_secrets: want names by numbers from 1 on, got %q: %q", number, name)
		}
	}
	isTEE := tag.Has("tee")
	switch {
	case len(p.Secrets) > 0 && !isTEE:
		return errors.New("iexec_secrets: only a run in a TEE is given secrets (tag tee)")
	case p.Encrypt && !isTEE:
		return errors.New("iexec_result_encryption: only a run in a TEE encrypts its result (tag tee)")
	case p.Storage != "" && !slices.Contains(Storages(), p.Storage):
		return fmt.Errorf("iexec_result_storage_provider: want one of %s, got %q", strings.Join(Storages(), ", "), p.Storage)
	case p.Storage == "dropbox" && !isTEE:
		return errors.New("iexec_result_storage_provider: only a run in a TEE writes to dropbox (tag tee)")
	}
	return nil
}
