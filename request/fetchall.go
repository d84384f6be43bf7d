package request

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
// is there as it was written then, and compares with the chain, is not fetched again. A
// folder that is there, of results that compare with the chain, is that of a call that ended
// before it could say so: it is told, and nothing is fetched.
//
// Errors: *PartialError, and those of [Fetching.Fetch].
func (f Fetching) FetchAll(ctx context.Context, id common.Hash, tasks []deal.Task, tell func(Fetched)) ([]Fetched, error) {
	if all, err := f.found(tasks, tell); err != nil || all != nil {
		if all != nil {
			f.tidy(id)
		}
		return all, err
	}
	to := filepath.Clean(f.Unpacking.Folder)
	p, err := f.openPartial(ctx, filepath.Dir(to), id)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if all, err := f.found(tasks, tell); err != nil || all != nil { // a call that this one waited for may have been faster
		return all, err
	}
	var all []Fetched
	for _, t := range tasks {
		got, err := f.fetchInto(ctx, p, t)
		if err != nil {
			p.tellKept(f.Tell, len(tasks))
			return nil, err
		}
		got.Folder = f.folderOf(t, tasks)
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

// folderOf is where the result of a task belongs.
func (f Fetching) folderOf(t deal.Task, tasks []deal.Task) string {
	to := filepath.Clean(f.Unpacking.Folder)
	if len(tasks) > 1 {
		to = filepath.Join(to, nameOf(t))
	}
	return to
}

// found returns the results that an earlier call put in the place of the new folder; nil
// when nothing is there. What is there must be a folder of the results of these tasks and no
// others, each with the digest that the chain has: else a *result.ExistsError.
func (f Fetching) found(tasks []deal.Task, tell func(Fetched)) ([]Fetched, error) {
	taken := f.CheckFree()
	there, is := errors.AsType[*result.ExistsError](taken)
	if !is {
		return nil, taken
	}
	if there.Problem = f.otherThan(tasks); there.Problem != "" {
		return nil, there
	}
	var all []Fetched
	for _, t := range tasks {
		got := Fetched{Folder: f.folderOf(t, tasks), Before: true}
		got.Got.Unchecked = "nothing was downloaded: its folder was there, and what of it computed.json does not name is as it lies on this disk"
		var err error
		if got.Location, err = t.Location(); err != nil {
			return nil, err
		}
		if got.Result, there.Problem = compared(t, got.Folder); there.Problem != "" {
			return nil, there
		}
		all = append(all, got)
	}
	for _, got := range all {
		tell(got)
	}
	return all, nil
}

// otherThan says why what is in the place of the new folder is none with these results.
func (f Fetching) otherThan(tasks []deal.Task) string {
	info, err := os.Lstat(f.Unpacking.Folder)
	if err != nil || !info.IsDir() {
		return "it is no folder, or a link"
	}
	if len(tasks) == 1 {
		return ""
	}
	names := map[string]bool{}
	for _, t := range tasks {
		names[nameOf(t)] = true
	}
	entries, err := os.ReadDir(f.Unpacking.Folder)
	if err != nil || len(entries) != len(names) || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() || !names[e.Name()] }) {
		return "it has other entries than a folder for each run of the deal"
	}
	return ""
}

// compared compares the result of a task in a folder with the digest that the chain has, or
// says why it is not that.
func compared(t deal.Task, folder string) (d result.Decrypted, problem string) {
	if err := wanted(t).Compare(folder, &d); err != nil {
		if other, is := errors.AsType[*result.DigestError](err); is {
			return d, fmt.Sprintf("it has the digest %s, and the chain %s", other.Got, other.Want)
		}
		return d, "it cannot be read"
	}
	if d.Digest == "" {
		return d, "it cannot be compared with the chain: " + d.Unchecked
	}
	var err error
	if d.Files, err = listing(folder); err != nil {
		return d, "it cannot be read"
	}
	return d, ""
}

// tidy removes what a call left that was killed after its results were in their folder,
// unless another call works there. It does not matter if that fails.
func (f Fetching) tidy(id common.Hash) {
	path := partialPath(filepath.Dir(filepath.Clean(f.Unpacking.Folder)), id)
	if checkOwn(path) != nil {
		return
	}
	p := &partial{path: path, lock: newLock(path)}
	if held, err := p.lock.TryLock(); err == nil && held && p.empty() == nil {
		p.close()
	}
}

// nameOf is the name of a task's folder.
func nameOf(t deal.Task) string { return strconv.FormatUint(t.Index, 10) }

// fetchInto fetches a result, unless it was before.
func (f Fetching) fetchInto(ctx context.Context, p *partial, t deal.Task) (Fetched, error) {
	got, why := f.before(ctx, p, t)
	if why == "" {
		return got, nil
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
