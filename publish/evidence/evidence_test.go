package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rpc"

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

// What is kept of a node's answer is what who asked took for it, in whichever way it is written.
func TestAttackReplies(t *testing.T) {
	const one, two = `{"jsonrpc":"2.0","id":ONE,"result":"0x1"}`, `{"jsonrpc":"2.0","id":TWO,"result":"0x2"}`
	const failed = `{"jsonrpc":"2.0","id":ONE,"error":{"code":-32000,"message":"no"}}`
	for name, c := range map[string]struct {
		answer string
		alone  bool
	}{
		"alone":              {one, true},
		"of another id":      {`{"jsonrpc":"2.0","id":77,"result":"0x1"}`, true},
		"without an error":   {`{"jsonrpc":"2.0","id":ONE,"error":null,"result":"0x1"}`, true},
		"with an error, too": {`{"jsonrpc":"2.0","id":ONE,"error":{"code":-32000,"message":"no"},"result":"0x1"}`, true},
		"nothing":            {`{"jsonrpc":"2.0","id":ONE,"result":null}`, true},
		"a list for one":     {`[` + one + `]`, true},
		"in order":           {`[` + one + `,` + two + `]`, false},
		"in another order":   {`[` + two + `,` + one + `]`, false},
		"each twice":         {`[` + one + `,` + two + `,` + strings.Replace(one, "0x1", "0x3", 1) + `,` + strings.Replace(two, "0x2", "0x4", 1) + `]`, false},
		"an error, then it":  {`[` + failed + `,` + one + `,` + two + `]`, false},
		"it, then an error":  {`[` + one + `,` + failed + `,` + two + `]`, false},
		"one is missing":     {`[null,` + one + `]`, false},
		"one for a list":     {one, false},
		"of another type":    {`[` + one + `,{"jsonrpc":"2.0","id":TWO,"error":null,"result":{}}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls, _, err := readCalls(r)
				if err != nil {
					t.Error(err)
				}
				text := strings.ReplaceAll(c.answer, "ONE", string(calls[0].ID))
				text = strings.ReplaceAll(text, "TWO", string(calls[len(calls)-1].ID))
				w.Header().Set("Content-Type", "application/json")
				if _, err := io.WriteString(w, text); err != nil {
					t.Error(err)
				}
			}))
			defer served.Close()
			var kept Recorder
			told := ask(t, kept.Around(Node)(http.DefaultTransport), served.URL, c.alone)
			again := ask(t, File{Answers: kept.Answers()}.Around(Node)(nil), served.URL, c.alone)
			for i := range told {
				if told[i] != again[i] {
					t.Errorf("call %d: %s was told, and kept is %s", i, told[i], again[i])
				}
			}
		})
	}
}

const failure = "an error"

// ask is what go-ethereum's client takes for the answers to two calls, or to one.
func ask(t *testing.T, by http.RoundTripper, url string, alone bool) (told []string) {
	t.Helper()
	client, err := rpc.DialOptions(t.Context(), url, rpc.WithHTTPClient(&http.Client{Transport: by}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var results [2]string
	calls := []rpc.BatchElem{{Method: "eth_chainId", Result: &results[0]}, {Method: "eth_gasPrice", Result: &results[1]}}
	if alone {
		calls = calls[:1]
		calls[0].Error = client.CallContext(t.Context(), &results[0], calls[0].Method)
	} else if err := client.BatchCallContext(t.Context(), calls); err != nil {
		return []string{failure, failure}
	}
	for i, c := range calls {
		if c.Error != nil {
			results[i] = failure
		}
		told = append(told, results[i])
	}
	return told
}

// What no verification keeps is not read, and why there is no proof is read as it is written.
func TestAttackFile(t *testing.T) {
	long := errors.New(strings.Repeat("é", 1000))
	for name, f := range map[string]File{
		"a service that fails for ever": {Answers: []Answer{{Service: Market, Question: "/apporders", Status: http.StatusBadGateway}}},
		"a redirect":                    {Answers: []Answer{{Service: Registry, Question: "x/v2/y", Status: http.StatusFound}}},
		"no status":                     {Answers: []Answer{{Service: Node, Question: "eth_chainId []"}}},
		"a long reason":                 {Unproven: long.Error()},
	} {
		f.Schema = Schema
		data, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		var wrong *Error
		if _, err := Parse(data); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	data, err := File{Schema: Schema, Unproven: reason(long), Answers: []Answer{}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if f, err := Parse(data); err != nil || len(f.Unproven) < maxReason-4 {
		t.Errorf("%q, %v", f.Unproven, err)
	}
}

// told is a service that answers whatever it is asked.
type told func(*http.Request) *http.Response

func (a told) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

func fetched(t *testing.T, by http.RoundTripper, method, url, body string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := by.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// A registry's service of tokens may be below /v2/ as its repositories are, and no file has
// what it hands out.
func TestNoLoginIsKept(t *testing.T) {
	var r Recorder
	by := r.Around(Registry)(told(func(*http.Request) *http.Response {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"token":"secret"}`))}
	}))
	for _, path := range []string{"/v2/", "/v2/auth?service=s", "/v2/token?scope=s", "/token", "/v2/manifests/token", "/v2/blobs/uploads/x/y", "/v2/acme/app/manifests/1.0.0"} {
		fetched(t, by, http.MethodGet, "https://registry.example"+path, "")
	}
	if kept := r.Answers(); len(kept) != 1 || kept[0].Question != "registry.example/v2/acme/app/manifests/1.0.0" {
		t.Errorf("kept: %+v", kept)
	}
}

// Headers of a registry that are no text are kept so that the file can be read again.
func TestAttackHeaders(t *testing.T) {
	var r Recorder
	by := r.Around(Registry)(told(func(*http.Request) *http.Response {
		odd := "\xff\xfe;" + strings.Repeat("\x80", 3)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {odd}, "Link": {odd}, filters: {odd}}, Body: http.NoBody}
	}))
	fetched(t, by, http.MethodGet, "https://registry.example/v2/app/manifests/1?n=\xff", "")
	f := File{Schema: Schema, Record: "{}", Answers: r.Answers()}
	path := filepath.Join(t.TempDir(), "file.json")
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path); err != nil || len(got.Answers) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	f.Answers[0].Type = "\xff"
	if err := f.Write(path); err == nil {
		t.Error("what is not read again was written")
	}
}

// A node's answer beyond the bound reaches whoever asked as it came, and is not kept.
func TestAnswerBeyondTheBound(t *testing.T) {
	var r Recorder
	large := bytes.Repeat([]byte("x"), bounds.RPCAnswer+1_000)
	by := r.Around(Node)(told(func(*http.Request) *http.Response {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(large))}
	}))
	if got := fetched(t, by, http.MethodPost, "https://node.example", `{"id":1,"method":"eth_chainId"}`); !bytes.Equal(got, large) || len(r.Answers()) != 0 {
		t.Errorf("got %d bytes of %d, kept %d", len(got), len(large), len(r.Answers()))
	}
}

// What a file does not have is known as that by whoever asks for it alone, and among several
// it is an error of the one call.
func TestAbsentCalls(t *testing.T) {
	by := File{Answers: []Answer{{Service: Node, Question: "eth_chainId []", Status: http.StatusOK, Body: []byte(`"0x1"`)}}}.Around(Node)(nil)
	one, other := `{"id":1,"method":"eth_chainId"}`, `{"id":2,"method":"eth_call","params":["x"]}`
	if got := string(fetched(t, by, http.MethodPost, "https://node.example", "["+one+","+other+"]")); !strings.Contains(got, `"0x1"`) || !strings.Contains(got, "has no answer to eth_call") {
		t.Errorf("together: %s", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://node.example", strings.NewReader(other))
	if err != nil {
		t.Fatal(err)
	}
	var absent *AbsentError
	if _, err := by.RoundTrip(r); !errors.As(err, &absent) {
		t.Errorf("alone: %v", err)
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
