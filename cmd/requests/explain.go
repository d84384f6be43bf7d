package requests

import (
	"errors"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
)

// Exit codes beside those of package main.
const (
	exitUsage   = 2
	exitChain   = 13
	exitOrder   = 14 // no orders match
	exitResult  = 16 // a result is damaged, for another key, or refused
	exitSecret  = 17 // the secret service has something else, or nothing
	exitTask    = 18 // a task ended, or goes on, without a result
	exitNetwork = 20
	exitFunds   = 23
)

// rule says what an error means. The first rule that matches counts.
type rule struct {
	matches func(error) bool
	code    string
	exit    int
	remedy  string
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Explain returns code, exit code and remedy of the errors that only requests have; ""
// for others.
func Explain(err error) (code string, exit int, remedy string) {
	for _, r := range rules() {
		if r.matches(err) {
			return r.code, r.exit, r.remedy
		}
	}
	return "", 0, ""
}

func rules() []rule {
	return []rule{
		{is[*node.StakeError], "E-STAKE", exitFunds, "--deposit deposits what is missing, if the wallet has it; or lower the maximum prices or the volume"},
		{is[*deal.NoMatchError], "E-NO-MATCH", exitOrder, "change what the request asks for, as said above, or wait for other orders"},
		{is[*request.OrderError], "E-REQUEST-ORDER", exitUsage, "correct what is said above: mrelease request order --help"},
		{is[*request.ProblemsError], "E-REQUEST", exitOrder, "do what is said above of each problem, and run the same command again: nothing was signed"},
		{is[*deal.RefusedError], "E-MATCH-REFUSED", exitOrder, "run the same command again, which looks for other orders; if it stays so, make another request"},
		{ended, "E-REQUEST-ENDED", exitOrder, "mrelease request show tells what became of it; to order again: mrelease request order"},
		{is[*request.AppError], "E-REQUEST-APP", exitUsage, "name the app's address (--app), and the chain that it is on (--chain)"},
		{is[*node.NameError], "E-NAME", exitUsage, "name the address itself"},
		{is[*request.FileError], "E-REQUEST-FILE", exitUsage, "name a file that mrelease request order wrote, or for a new request one that is not there yet (--file)"},
		{is[*deal.NoDealError], "E-DEAL-MISSING", exitChain, "check the id, and the chain (--chain)"},
		{late, "E-TASK-LATE", exitTask, "mrelease request claim, with the request or the deal: what was paid comes back"},
		{is[*deal.TaskError], "E-TASK-FAILED", exitTask, "what was paid is in the stake again if it failed: order another run; if it goes on: mrelease request run"},
		{is[*deal.EarlyError], "E-CLAIM-EARLY", exitTask, "wait until the deadline, or follow the tasks: mrelease request run --deal"},
		{is[*deal.LocationError], "E-RESULT-PLACE", exitResult, "get the result from where it is, as said above, and decrypt it: mrelease request result decrypt"},
		{is[*gateway.ForgedError], "E-RESULT-FORGED", exitResult, "do not use what it sent: name another gateway (--gateway)"},
		{is[*result.DigestError], "E-RESULT-DIGEST", exitResult, "do not use it: it is not what the workers agreed on; ask who runs the workerpool"},
		{missing, "E-GATEWAY", exitNetwork, "wait and run the same command again, or name another gateway (--gateway): nothing is paid again"},

		{inState(request.KeyAbsent), "E-RESULT-KEY-ABSENT", exitSecret, "mrelease request key push"},
		{is[*stateError], "E-RESULT-KEY-OTHER", exitSecret, "if results are to be encrypted for this key: mrelease request key push --replace; else use the key that was pushed"},
		{is[*request.OtherKeyError], "E-RESULT-KEY-OTHER", exitSecret, "if results are to be encrypted for this key from now on: mrelease request key push --replace; else use the key that was pushed"},
		{is[*request.UnreplaceableError], "E-RESULT-KEY-FIXED", exitSecret, "use the key that was pushed first, or another address as beneficiary"},
		{is[*request.KeyError], "E-RESULT-KEY", exitUsage, "name the beneficiary's key (--key, --folder), or make one: mrelease request key new; a public half that is missing is written by that too"},

		{is[*noSecretError], "E-SECRET-ABSENT", exitSecret, "mrelease request secret push, or correct name, address or chain"},
		{is[*request.SecretThereError], "E-SECRET-THERE", exitSecret, "use the secret that is there if it is yours, or push the value under another name"},
		{is[*request.SecretError], "E-SECRET", exitUsage, "mrelease request secret push --help"},
		{refused, "E-SMS-REFUSED", exitSecret, "correct what the service says above: 401 is a signature of another wallet than the secret's owner"},
		{failed, "E-SMS", exitNetwork, "check chains.<name>.sms, wait, and run the same command again: what is done is found"},

		{is[*result.KeyError], "E-RESULT-OTHER-KEY", exitResult, "name the key that the beneficiary had pushed when the run was ordered (--key)"},
		{is[*result.ClearError], "E-RESULT-CLEAR", exitResult, "unzip it: its request did not ask for encryption"},
		{is[*result.DamagedError], "E-RESULT-DAMAGED", exitResult, "download the result again; if it stays so, whoever ran the app wrote it so"},
		{is[*result.RefusedError], "E-RESULT-REFUSED", exitResult, "do not unpack it by other means: ask the app's owner why its results have such an entry"},
		{is[*result.ExistsError], "E-EXISTS", exitUsage, "name a folder that is not there yet (--to), or move away what is there"},
		{tooLarge, "E-RESULT-LARGE", exitResult, "if the app's results are that large, allow more with --limit, where that is the bound above; else do not unpack it"},
	}
}

// inState matches a key in a state.
func inState(state request.KeyState) func(error) bool {
	return func(err error) bool {
		var e *stateError
		return errors.As(err, &e) && e.State == state
	}
}

// ended matches a request whose order came to its end, or is none.
func ended(err error) bool { return is[*requestError](err) && is[*node.OrderError](err) }

// late matches a task that did not end in time.
func late(err error) bool {
	var e *deal.TaskError
	return errors.As(err, &e) && e.Task.Stage == deal.Late
}

// missing matches a gateway that did not hand out a result, for no reason that has a code.
func missing(err error) bool {
	return is[*gateway.Error](err) && !is[*bounds.AddressError](err) && !is[*bounds.SlowError](err)
}

// refused matches what the secret service will answer again.
func refused(err error) bool {
	var e *request.ServiceError
	return errors.As(err, &e) && e.IsRefusal()
}

// failed matches a secret service that failed, for no reason that has a code.
func failed(err error) bool {
	return is[*request.ServiceError](err) && !is[*bounds.AddressError](err) && !is[*bounds.SlowError](err) && !is[*bounds.Error](err)
}

// tooLarge matches a result beyond the bounds.
func tooLarge(err error) bool {
	var larger *bounds.Error
	return is[*resultError](err) && errors.As(err, &larger) && !larger.File
}
