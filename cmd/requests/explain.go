package requests

import (
	"errors"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/result"
)

// Exit codes beside those of package main.
const (
	exitUsage   = 2
	exitNetwork = 20
	exitResult  = 16 // a result is damaged, for another key, or refused
	exitSecret  = 17 // the secret service has something else, or nothing
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
