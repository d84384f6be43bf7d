package evidence

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// Recorder keeps what services answer. It keeps no request's headers and no answer of a
// service that hands out tokens, so a file holds no login.
type Recorder struct {
	lock    sync.Mutex
	answers map[[2]string]Answer
	size    int
}

// Around is what keeps what a service answers to whoever asks it.
func (r *Recorder) Around(s Service) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return recording{r, s, next} }
}

// Answers are those that were kept, in order.
func (r *Recorder) Answers() []Answer {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.SortedFunc(maps.Values(r.answers), Answer.compare)
}

// keep keeps the last answer to a question. Beyond the bound of all together the largest are
// let go: those are layers, or what a stranger put beside an image.
func (r *Recorder) keep(a Answer) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.answers == nil {
		r.answers = map[[2]string]Answer{}
	}
	at := [2]string{string(a.Service), a.Question}
	r.size += len(a.Body) - len(r.answers[at].Body)
	r.answers[at] = a
	for r.size > bounds.Kept {
		largest := at
		for other, b := range r.answers {
			if len(b.Body) > len(r.answers[largest].Body) {
				largest = other
			}
		}
		r.size -= len(r.answers[largest].Body)
		delete(r.answers, largest)
	}
}

// filters is the header by which a registry says that it lists only what was asked for.
const filters = "OCI-Filters-Applied"

type recording struct {
	*Recorder
	service Service
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.service == Node {
		return r.calls(req)
	}
	resp, err := r.next.RoundTrip(req)
	asked := outside.First(req) // what is kept elsewhere is the answer to what was asked here
	if err != nil || asked.Method != http.MethodGet || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return resp, err
	}
	if r.service == Registry && !isOfRepository(asked) {
		return resp, nil
	}
	a := Answer{
		Service: r.service, Question: valid(r.service.asked(asked)), Status: resp.StatusCode, Type: valid(resp.Header.Get("Content-Type")),
		Link: valid(strings.Join(resp.Header.Values("Link"), ", ")), Filters: valid(resp.Header.Get(filters)),
	}
	resp.Body = &kept{ReadCloser: resp.Body, recorder: r.Recorder, answer: a}
	return resp, nil
}

// isOfRepository tells what is asked about a repository, /v2/NAME/KIND/REFERENCE, from a
// registry's service of tokens, which may be below /v2/, too.
func isOfRepository(r *http.Request) bool {
	kinds := []string{"manifests", "blobs", "referrers", "tags"}
	return strings.HasPrefix(r.URL.Path, "/v2/") && strings.Count(r.URL.Path, "/") > 3 && slices.Contains(kinds, outside.InRegistry(r))
}

// valid is a text as JSON can hold it.
func valid(text string) string { return strings.ToValidUTF8(text, "") }

// kept keeps a body that is read to its end, unless it is a layer by its size.
type kept struct {
	io.ReadCloser
	recorder *Recorder
	answer   Answer
	over     bool
}

// Read implements [io.Reader].
func (k *kept) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	if k.over = k.over || len(k.answer.Body)+n > bounds.KeptAnswer; k.over {
		k.answer.Body = nil
		return n, err
	}
	k.answer.Body = append(k.answer.Body, p[:n]...)
	if err == io.EOF {
		k.recorder.keep(k.answer)
	}
	return n, err
}

// calls keeps what a node answers to each call.
func (r recording) calls(req *http.Request) (*http.Response, error) {
	asked, several, err := readCalls(req)
	if err != nil {
		return nil, err
	}
	resp, err := r.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bounds.RPCAnswer+1))
	if err != nil || len(body) > bounds.RPCAnswer { // who asked meets the same
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		return resp, nil
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	replies, together, err := decode[reply](body)
	if err != nil || together != several {
		return resp, nil // who asked says what is wrong with it
	}
	for _, c := range asked {
		if said := answering(c, replies, several); said != nil && said.Error == nil && json.Valid(said.Result) {
			r.keep(Answer{Service: Node, Question: c.question(), Status: http.StatusOK, Body: said.Result})
		}
	}
	return resp, nil
}

// answering is the reply that go-ethereum's client takes for that to a call: among several the
// first with the call's id, and to one alone the one that comes.
func answering(c call, replies []reply, several bool) *reply {
	at := slices.IndexFunc(replies, func(said reply) bool { return !several || bytes.Equal(said.ID, c.ID) })
	if at < 0 {
		return nil
	}
	return &replies[at]
}
