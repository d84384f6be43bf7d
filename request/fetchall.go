package request

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/result"
)

// CheckFree makes sure that nothing is in the place of the new folder. Its error is a
// *result.ExistsError, or of the file system.
func (f Fetching) CheckFree() error {
	_, err := os.Lstat(f.Unpacking.Folder)
	switch {
	case err == nil:
		return &result.ExistsError{Path: f.Unpacking.Folder}
	case os.IsNotExist(err):
		return nil
	}
	return fmt.Errorf("looking for folder: %w", err)
}

// FetchAll fetches the results of a deal's tasks, all of which completed, into the new
// folder: that of an only task into it, those of several into one for each in it, named by
// the task's index. tell is told of each result as it comes.
//
// Until all of them are there, they are beside that folder, in one of the user's own that
// is named after the deal. A call that was interrupted is so gone on with by the next: what
// is there as it was written then is not fetched again, and what was compared then is told
// again.
//
// Errors: *PartialError, and those of [Fetching.Fetch].
func (f Fetching) FetchAll(ctx context.Context, id common.Hash, tasks []deal.Task, tell func(Fetched)) ([]Fetched, error) {
	if err := f.CheckFree(); err != nil {
		return nil, err
	}
	to := filepath.Clean(f.Unpacking.Folder)
	p, err := f.openPartial(ctx, filepath.Dir(to), id)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := f.CheckFree(); err != nil { // a call that this one waited for may have been faster
		return nil, err
	}
	var all []Fetched
	for _, t := range tasks {
		got, err := f.fetchInto(ctx, p, t)
		if err != nil {
			p.tellKept(f.Tell, len(tasks))
			return nil, err
		}
		if got.Folder = to; len(tasks) > 1 {
			got.Folder = filepath.Join(to, nameOf(t))
		}
		if got.Archive != "" {
			got.Archive = filepath.Join(got.Folder, archiveName)
		}
		all = append(all, got)
		tell(got)
	}
	from := p.results()
	if len(tasks) == 1 {
		from = p.result(tasks[0])
	}
	if err := os.Rename(from, to); err != nil { // fails where there is something by now
		return nil, fmt.Errorf("making folder: %w", err)
	}
	return all, p.clear()
}

// nameOf is the name of a task's folder.
func nameOf(t deal.Task) string { return strconv.FormatUint(t.Index, 10) }

// fetchInto fetches a result, unless it was before.
func (f Fetching) fetchInto(ctx context.Context, p *partial, t deal.Task) (Fetched, error) {
	got, why := p.before(t)
	if why == "" && (got.Archive == "" || f.Key == nil) {
		got.Before = true
		return got, nil
	}
	if why == "" {
		why = "it was not decrypted, and there is a key now"
	}
	if why != neverFetched && f.Tell != nil {
		f.Tell(fmt.Sprintf("the result of task %s is fetched again: %s", t.ID, why))
	}
	if err := p.forget(t); err != nil {
		return Fetched{}, err
	}
	f.Unpacking.Folder = p.arriving(t)
	got, err := f.Fetch(ctx, t)
	if err != nil {
		return got, err
	}
	return got, p.keep(t, got)
}
