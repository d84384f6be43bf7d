package deal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/mrelease/mrelease/bounds"
)

// Location is where a result is.
type Location struct {
	Storage string `json:"storage"`  // ipfs, dropbox, ethereum
	Place   string `json:"location"` // a path, such as /ipfs/CID
}

// LocationError says why a result cannot be downloaded from where the chain says it is.
type LocationError struct {
	Task    Task
	Problem string
}

// Error implements error.
func (e *LocationError) Error() string {
	return fmt.Sprintf("looking for the result of task %s: %s", e.Task.ID, e.Problem)
}

// Evidence returns what the chain has.
func (e *LocationError) Evidence() [][2]string {
	return [][2]string{{"problem", e.Problem}, {"actual", fmt.Sprintf("%.500q", e.Task.Results)}, {"task", e.Task.ID.Hex()}}
}

// ipfsPath matches a path on a gateway: a CID in base58 or base32, and a file below it.
// It takes a while to compile, and few commands need it.
var ipfsPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/ipfs/([1-9A-HJ-NP-Za-km-z]{46}|b[a-z2-7]{20,100})(/[0-9A-Za-z._-]{1,100}){0,4}$`)
})

// Location returns where a completed task's result can be downloaded: a path on a gateway
// of IPFS. Whoever ran the task wrote it. Its error is a *LocationError for any other
// storage.
func (t Task) Location() (Location, error) {
	fail := func(problem string) (Location, error) { return Location{}, &LocationError{t, problem} }
	if t.Stage != Completed {
		return fail("the task is " + string(t.Stage))
	}
	var l Location
	if err := bounds.CheckJSON(t.Results); err != nil {
		return fail("what the chain has is no location: " + err.Error())
	}
	if err := json.Unmarshal(t.Results, &l); err != nil {
		return fail("what the chain has is no location")
	}
	switch {
	case l.Storage == "ipfs" && ipfsPath().MatchString(l.Place) && !strings.Contains(l.Place, "/.."):
		return l, nil
	case l.Storage == "ipfs":
		return fail("the location is no path of IPFS")
	case l.Storage == "dropbox":
		return fail("it is in the requester's Dropbox, which takes the requester's own login: download it there")
	case l.Storage == "ethereum" || len(t.Callback) > 0:
		return fail("it was given to the request's callback contract, and is nowhere else")
	}
	return fail("it is in a storage that nobody knows")
}
