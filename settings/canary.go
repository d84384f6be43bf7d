package settings

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// Canary is a run of the app that its owner buys, with an order for nobody else, before
// the app's order is offered to others.
type Canary struct {
	Run          bool           `yaml:"run" doc:"offer the app's order only after such a run was good; as release --canary"`
	Workerpool   common.Address `yaml:"workerpool" doc:"the one workerpool, or group of them, that may run it; any when it is not set"`
	MaxPrice     uint64         `yaml:"max-price" doc:"nRLC that the workerpool may ask for it at most"`
	Category     uint64         `yaml:"category" doc:"how long it may take: the number of one of the hub's categories, such as 0 (5 minutes) to 4 (10 hours)"`
	Params       string         `yaml:"params" doc:"what it is told to do: arguments (the command of an app of 2019), or the JSON object that request orders hold"`
	Deposit      bool           `yaml:"deposit" doc:"pay what its cost is above the wallet's stake into the hub; as release --deposit"`
	File         string         `yaml:"file" doc:"path in its result of the file that must have the digest"`
	Digest       Pin            `yaml:"digest" doc:"digest of that file, sha256:…"`
	Judge        Path           `yaml:"judge" doc:"program that judges its result, in whose folder it is started: 0 is good, another exit code is not"`
	JudgeTimeout Duration       `yaml:"judge-timeout" doc:"time limit for the judge"`
	Timeout      Duration       `yaml:"timeout" doc:"how long a release waits for it; running the release again goes on waiting"`
}

// RequestText returns the params as the run's request order has them: a command as it is
// written, which apps of 2019 are launched with; else an object that says where the result
// is put.
func (c Canary) RequestText() (string, error) {
	params, err := poco.ParseParams(c.Params)
	if err != nil || c.Params != "" && params.Args == c.Params {
		return c.Params, err
	}
	params.Storage = cmp.Or(params.Storage, poco.Storages()[0])
	return params.Text()
}

// checkCanary finds what is wrong with a run that is to be bought.
func (c *Checker) checkCanary() {
	k := c.Settings.Canary
	if !k.Run {
		return
	}
	if k.MaxPrice > poco.MaxAmount {
		c.Complain("canary.max-price", "must be at most %d nRLC, the market's limit, got %d", uint64(poco.MaxAmount), k.MaxPrice)
	}
	params, err := poco.ParseParams(k.Params)
	if err == nil {
		err = params.Check(c.Settings.Order.Tag)
	}
	if err == nil && params.Encrypt {
		err = errors.New("iexec_result_encryption: the result is judged here, and nobody else's: leave it out")
	}
	if err == nil && cmp.Or(params.Storage, poco.Storages()[0]) != poco.Storages()[0] {
		err = fmt.Errorf("iexec_result_storage_provider: the result is fetched from %s, got %q", poco.Storages()[0], params.Storage)
	}
	if err != nil {
		c.Complain("canary.params", "%s", err)
	}
	if (k.File == "") != (k.Digest == "") {
		c.Complain("canary.file", "want both of file and digest, or neither")
	}
	if k.File != "" && !filepath.IsLocal(filepath.FromSlash(k.File)) {
		c.Complain("canary.file", "want a path in the result, got %q", k.File)
	}
	if k.Timeout <= 0 {
		c.Complain("canary.timeout", "must be above 0")
	}
	c.checkJudge()
}

func (c *Checker) checkJudge() {
	k := c.Settings.Canary
	if k.JudgeTimeout <= 0 {
		c.Complain("canary.judge-timeout", "must be above 0")
	}
	if k.Judge == "" {
		return
	}
	info, err := os.Stat(string(k.Judge))
	switch {
	case err != nil:
		c.Complain("canary.judge", "%s: %s", k.Judge, Reason(err))
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0 && runtime.GOOS != "windows":
		c.Complain("canary.judge", "%s is no program: chmod +x makes a script one", k.Judge)
	}
}
