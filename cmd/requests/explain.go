package requests

import (
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
)

// Rules say what the errors mean that only requests have.
func Rules() []usage.Rule {
	return []usage.Rule{
		usage.On(usage.Is[*node.StakeError], "E-STAKE", usage.ExitFunds, usage.Say("--deposit deposits what is missing, if the wallet has it; or lower the maximum prices or the volume")),
		usage.On(usage.Is[*deal.NoMatchError], "E-NO-MATCH", usage.ExitOrder, usage.Say("change what the request asks for, as said above, or wait for other orders")),
		usage.On(usage.Is[*request.OrderError], "E-REQUEST-ORDER", usage.ExitUsage, usage.Say("correct what is said above: mrelease request order --help")),
		usage.On(usage.Is[*request.ProblemsError], "E-REQUEST", usage.ExitOrder, usage.Say("do what is said above of each problem, and run the same command again: nothing was signed")),
		usage.On(usage.Is[*deal.RefusedError], "E-MATCH-REFUSED", usage.ExitOrder, usage.Say("run the same command again, which looks for other orders; if it stays so, make another request")),
		usage.On(ended, "E-REQUEST-ENDED", usage.ExitOrder, usage.Say("mrelease request show tells what became of it; to order again: mrelease request order")),
		usage.On(usage.Is[*request.AppError], "E-REQUEST-APP", usage.ExitUsage, usage.Say("name the app's address (--app), and the chain that it is on (--chain)")),
		usage.On(usage.Is[*node.NameError], "E-NAME", usage.ExitUsage, usage.Say("name the address itself")),
		usage.On(usage.Is[*request.FileError], "E-REQUEST-FILE", usage.ExitUsage, usage.Say("name a file that mrelease request order wrote, or for a new request one that is not there yet (--file)")),
		usage.On(usage.Is[*deal.NoDealError], "E-DEAL-MISSING", usage.ExitChain, usage.Say("check the id, and the chain (--chain)")),
		usage.On(late, "E-TASK-LATE", usage.ExitTask, usage.Say("mrelease request claim, with the request or the deal: what was paid comes back; before another run is ordered, see that the app's image starts with these params where you can read what it prints")),
		usage.On(usage.Is[*deal.TaskError], "E-TASK-FAILED", usage.ExitTask, usage.Say("what was paid is in the stake again if it failed: order another run; if it goes on: mrelease request run")),
		usage.On(usage.Is[*deal.TooManyError], "E-TOO-LARGE", usage.ExitUsage, usage.Say("make requests of fewer runs (--volume); nothing was paid now; of a larger deal that was made elsewhere mrelease request claim brings back what can be claimed, and what became of its tasks iExec's command line tells, one by one")),
		usage.On(usage.Is[*deal.RestError], "E-TOO-LARGE", usage.ExitUsage, rest),
		usage.On(usage.Is[*deal.EarlyError], "E-CLAIM-EARLY", usage.ExitTask, usage.Say("wait until the deadline, or follow the tasks: mrelease request run --deal")),
		usage.On(usage.Is[*deal.LocationError], "E-RESULT-PLACE", usage.ExitResult, usage.Say("get the result from where it is, as said above, and decrypt it: mrelease request result decrypt")),
		usage.On(usage.Is[*gateway.ForgedError], "E-RESULT-FORGED", usage.ExitResult, usage.Say("do not use what it sent: name another gateway (--gateway)")),
		usage.On(usage.Is[*result.DigestError], "E-RESULT-DIGEST", usage.ExitResult, usage.Say("do not use it: it is not what the workers agreed on; ask who runs the workerpool")),
		usage.On(missing, "E-GATEWAY", usage.ExitNetwork, usage.Say("wait and run the same command again, or name another gateway (--gateway): nothing is paid again")),

		usage.On(inState(request.KeyAbsent), "E-RESULT-KEY-ABSENT", usage.ExitSecret, usage.Say("mrelease request key push")),
		usage.On(usage.Is[*stateError], "E-RESULT-KEY-OTHER", usage.ExitSecret, usage.Say("if results are to be encrypted for this key: mrelease request key push --replace; else use the key that was pushed")),
		usage.On(usage.Is[*request.OtherKeyError], "E-RESULT-KEY-OTHER", usage.ExitSecret, usage.Say("if results are to be encrypted for this key from now on: mrelease request key push --replace; else use the key that was pushed")),
		usage.On(usage.Is[*request.UnreplaceableError], "E-RESULT-KEY-FIXED", usage.ExitSecret, usage.Say("use the key that was pushed first, or another address as beneficiary")),
		usage.On(usage.Is[*request.KeyError], "E-RESULT-KEY", usage.ExitUsage, usage.Say("name the beneficiary's key (--key, --folder), or make one: mrelease request key new; a public half that is missing is written by that too")),

		usage.On(usage.Is[*noSecretError], "E-SECRET-ABSENT", usage.ExitSecret, usage.Say("mrelease request secret push, or correct name, address or chain")),
		usage.On(usage.Is[*request.SecretThereError], "E-SECRET-THERE", usage.ExitSecret, usage.Say("use the secret that is there if it is yours, or push the value under another name")),
		usage.On(usage.Is[*request.SecretError], "E-SECRET", usage.ExitUsage, usage.Say("mrelease request secret push --help")),
		usage.On(refused, "E-SMS-REFUSED", usage.ExitSecret, usage.Say("correct what the service says above: 401 is a signature of another wallet than the secret's owner")),
		usage.On(failed, "E-SMS", usage.ExitNetwork, usage.Say("check chains.<name>.sms, wait, and run the same command again: what is done is found")),

		usage.On(usage.Is[*result.KeyError], "E-RESULT-OTHER-KEY", usage.ExitResult, usage.Say("name the key that the beneficiary had pushed when the run was ordered (--key)")),
		usage.On(usage.Is[*result.ClearError], "E-RESULT-CLEAR", usage.ExitResult, usage.Say("unzip it: its request did not ask for encryption")),
		usage.On(usage.Is[*result.DamagedError], "E-RESULT-DAMAGED", usage.ExitResult, usage.Say("download the result again; if it stays so, whoever ran the app wrote it so")),
		usage.On(usage.Is[*result.RefusedError], "E-RESULT-REFUSED", usage.ExitResult, usage.Say("do not unpack it by other means: ask the app's owner why its results have such an entry")),
		usage.On(usage.Is[*result.ExistsError], "E-EXISTS", usage.ExitUsage, usage.Say("name a folder that is not there yet (--to), or move away what is there")),
		usage.On(usage.Is[*request.PartialError], "E-RESULT-PARTIAL", usage.ExitUsage, usage.Say("find out who made that folder, and remove it; or name a new folder elsewhere (--to)")),
		usage.On(tooLarge, "E-RESULT-LARGE", usage.ExitResult, usage.Say("if the app's results are that large, allow more with --limit, where that is the bound above; else do not unpack it")),
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
func ended(err error) bool { return usage.Is[*requestError](err) && usage.Is[*node.OrderError](err) }

// rest says how a claim goes on.
func rest(err error) string {
	var e *deal.RestError
	if !errors.As(err, &e) {
		return ""
	}
	return fmt.Sprintf("mrelease request claim --from %d, which looks at the next ones", e.Next)
}

// late matches a task that did not end in time.
func late(err error) bool {
	var e *deal.TaskError
	return errors.As(err, &e) && e.Task.Stage == deal.Late
}

// missing matches a gateway that did not hand out a result, for no reason that has a code.
func missing(err error) bool {
	return usage.Is[*gateway.Error](err) && !usage.Is[*bounds.AddressError](err) && !usage.Is[*bounds.SlowError](err)
}

// refused matches what the secret service will answer again.
func refused(err error) bool {
	var e *request.ServiceError
	return errors.As(err, &e) && e.IsRefusal()
}

// failed matches a secret service that failed, for no reason that has a code.
func failed(err error) bool {
	return usage.Is[*request.ServiceError](err) && !usage.Is[*bounds.AddressError](err) && !usage.Is[*bounds.SlowError](err) && !usage.Is[*bounds.Error](err)
}

// tooLarge matches a result beyond the bounds.
func tooLarge(err error) bool {
	var larger *bounds.Error
	return usage.Is[*resultError](err) && errors.As(err, &larger) && !larger.File
}
