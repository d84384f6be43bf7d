package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// Around is what puts a file in the place of a service: nothing is sent anywhere.
func (f File) Around(s Service) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper { return replay{f, s} }
}

// replay answers from a file.
type replay struct {
	File
	service Service
}

// RoundTrip implements [http.RoundTripper].
func (r replay) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.service == Node {
		return r.calls(req)
	}
	if r.service == Registry && req.URL.Path == "/v2/" { // nobody has to log in to a file
		return response(req, Answer{Status: http.StatusOK}), nil
	}
	question := r.service.asked(req)
	a := r.find(r.service, question)
	if a == nil || req.Method != http.MethodGet {
		return nil, &AbsentError{question}
	}
	return response(req, *a), nil
}

func response(req *http.Request, a Answer) *http.Response {
	header := http.Header{"Content-Type": {a.Type}}
	for name, value := range map[string]string{"Link": a.Link, filters: a.Filters} {
		if value != "" {
			header.Set(name, value)
		}
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)), StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(len(a.Body)), Request: req, Body: io.NopCloser(bytes.NewReader(a.Body)),
	}
}

// asked is what a request asks: of a registry with its host, of a market without.
func (s Service) asked(r *http.Request) string {
	if s == Registry {
		return r.URL.Host + r.URL.RequestURI()
	}
	return r.URL.RequestURI()
}

// call is one of JSON-RPC.
type call struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func (c call) question() string {
	var params bytes.Buffer
	if len(c.Params) == 0 || json.Compact(&params, c.Params) != nil || params.String() == "null" {
		return c.Method + " []"
	}
	return c.Method + " " + params.String()
}

// reply is the answer to a call.
type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// readCalls reads the calls of a request, of which there may be several.
func readCalls(req *http.Request) (calls []call, several bool, err error) {
	body, err := bounds.ReadAll(req.Body, bounds.RPCAnswer)
	if err != nil {
		return nil, false, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	calls, several, err = decode[call](body)
	return calls, several, err
}

// decode reads one value, or a list of them.
func decode[T any](data []byte) (all []T, several bool, err error) {
	if strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 100)])), "[") {
		return all, true, json.Unmarshal(data, &all)
	}
	all = make([]T, 1)
	return all, false, json.Unmarshal(data, &all[0])
}

// calls answers a node's calls. What the file does not have is an error of the call among
// several, which is then asked for alone.
func (r replay) calls(req *http.Request) (*http.Response, error) {
	all, several, err := readCalls(req)
	if err != nil {
		return nil, err
	}
	replies := make([]reply, len(all))
	for i, c := range all {
		replies[i] = reply{Version: "2.0", ID: c.ID}
		if a := r.find(Node, c.question()); a != nil && a.Status == http.StatusOK && json.Valid(a.Body) {
			replies[i].Result = a.Body
			continue
		}
		if !several {
			return nil, &AbsentError{c.question()}
		}
		words, err := json.Marshal((&AbsentError{c.Method}).Error())
		if err != nil {
			return nil, err
		}
		replies[i].Error = fmt.Appendf(nil, `{"code":-32000,"message":%s}`, words)
	}
	var body []byte
	if several {
		body, err = json.Marshal(replies)
	} else {
		body, err = json.Marshal(replies[0])
	}
	return response(req, Answer{Status: http.StatusOK, Type: "application/json", Body: body}), err
}
