// Package worker does the tasks of the sandbox's workerpools as iExec's worker does: it
// pulls an app's image, fetches what it is to read, runs it, and packs, encrypts and
// stores its result.
//
// It stands in for a machine with SGX and for the attestation that secrets are given to:
// the program runs in a container without network, the secrets and the beneficiary's key
// come straight from the sandbox's secret service, and the image's digest is checked in
// place of the enclave's measurement.
package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/ipfs"
	"github.com/mrelease/mrelease/sandbox/workerpool"
)

// Worker does tasks. All its fields are needed. Close removes what it keeps.
type Worker struct {
	Secret func(scope string, of common.Address, name string) (string, bool) // of the secret service
	Store  *ipfs.Gateway
	Format func() Format // of encrypted results, asked at each

	mu     sync.Mutex
	kept   string                 // folder of the unpacked images
	images map[common.Hash]string // by the digest of their manifest
}

// Error says why a task has no result.
type Error struct {
	Stage string // what failed, as iExec's worker calls it
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return e.Stage + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Work does a task; it is a [workerpool.Work]. Its error is an [*Error].
func (w *Worker) Work(ctx context.Context, t workerpool.Task) (workerpool.Result, error) {
	dir, err := os.MkdirTemp("", "task-*")
	if err != nil {
		return workerpool.Result{}, fmt.Errorf("making work folder: %w", err)
	}
	defer func() {
		release(dir)
		os.RemoveAll(dir)
	}()
	j := &job{Worker: w, Task: t, dir: dir}
	for _, s := range []struct {
		stage string
		do    func(context.Context) error
	}{
		{"TASK_DESCRIPTION_INVALID", j.describe},
		{"APP_DOWNLOAD_FAILED", j.fetchApp},
		{"DATA_DOWNLOAD_FAILED", j.fetchData},
		{"INPUT_FILES_DOWNLOAD_FAILED", j.fetchInputs},
		{"COMPUTE_FAILED", j.compute},
		{"RESULT_UPLOAD_FAILED", j.deliver},
	} {
		if err := s.do(ctx); err != nil {
			return workerpool.Result{}, &Error{s.stage, err}
		}
	}
	return j.result, nil
}

// job is a task that is being done.
type job struct {
	*Worker
	workerpool.Task
	dir string

	params      poco.Params
	isCommand   bool // params are a command line, as in 2019
	image       image
	environment []string
	result      workerpool.Result
}

// Folders of a job, which the container has under the names that iExec's workers use.
const (
	inside  = "/iexec_in"
	outside = "/iexec_out"
)

func (j *job) in() string  { return filepath.Join(j.dir, "in") }
func (j *job) out() string { return filepath.Join(j.dir, "out") }

// describe reads the params and makes the folders.
func (j *job) describe(context.Context) error {
	j.readParams()
	if err := j.params.Check(poco.Tag(j.Deal.Tag)); err != nil {
		return err
	}
	if j.params.Storage == "dropbox" {
		return fmt.Errorf("results are stored in ipfs here, not in %s", j.params.Storage)
	}
	for _, dir := range []string{j.in(), j.out()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	return os.Chmod(j.out(), 0o777) // the program's user may be any
}

// readParams reads the params. What cannot be read is a command line, as it is to iExec's
// scheduler. That of version 5 knew keys which later ones do not; they changed nothing
// that is done here.
func (j *job) readParams() {
	text := j.Deal.Params
	var object map[string]json.RawMessage
	if j.isCommand = json.Unmarshal([]byte(text), &object) != nil; !j.isCommand {
		for _, key := range []string{"iexec_tee_post_compute_image", "iexec_tee_post_compute_fingerprint", "iexec_developer_logger"} {
			delete(object, key)
		}
		if known, err := json.Marshal(object); err == nil { // which was JSON before
			text = string(known)
		}
	}
	var err error
	if j.params, err = poco.ParseParams(text); err != nil {
		j.params = poco.Params{Args: j.Deal.Params}
	}
}

// limit is how long the program may run: the time reference of the deal's category.
func (j *job) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, j.Limit, fmt.Errorf("it took longer than the %s of its category", j.Limit.Round(time.Second)))
}
