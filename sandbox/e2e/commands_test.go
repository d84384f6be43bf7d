package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sbom"
	"github.com/mrelease/mrelease/vex"
)

// commands are what scripts can say besides testscript's own commands.
func commands(more map[string]func(*testscript.TestScript, *script, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	own := map[string]func(*testscript.TestScript, *script, []string){
		"exits": exits, "fault": addFault, "read-only": readOnly, "holds": holds, "group": group, "owner": owner, "buy": buy, "crowd": crowd, "foreign": foreign, "impostor": impostor, "register": register, "edit": edit, "get": get, "serve": serve,
		"fill": fill, "refer": refer, "retag": retag, "forget": forget, "odd-image": oddImage, "layer": layer, "edit-key": editKey, "git": gitCommand, "provenance": statementsOf(provenanceType), "measurement": statementsOf(record.MeasurementType), "sbom": statementsOf(sbom.Type), "vex": statementsOf(vex.Type), "beside": beside, "like-readme": likeReadme,
		"registry": habits, "ordinary": ordinary, "keyless": keyless, "grant": grant, "names": names, "pass": pass, "stored": stored, "wallet-in": keyService, "key-in": imageKey, "daemons": daemons, "lose": lose, "buildctl": buildctl,
	}
	maps.Copy(own, more)
	all := map[string]func(*testscript.TestScript, bool, []string){}
	for name, run := range own {
		all[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("unsupported: ! %s", name)
			}
			run(ts, ts.Value(scriptKey{}).(*script), args)
		}
	}
	return all
}

// exits runs a program that must end with an exit code:
//
//	exits CODE PROGRAM [ARGUMENT...]
//
// What mrelease prints must not hold secrets, nor a stack trace, and a failure
// must have its four parts.
func exits(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := exitCode(ts, args[1:])
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	checkPrinted(ts, s, stdout, stderr)
	checkDocument(ts, args[2:], stdout)
	if got != 0 && got != 130 {
		checkFailure(ts, stdout, stderr)
	}
}

// exitCode runs a program to its end.
func exitCode(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// checkDocument makes sure that --json brings one document, whatever happened.
func checkDocument(ts *testscript.TestScript, args []string, stdout string) {
	if !slices.Contains(args, "--json") || slices.Contains(args, "--schema") {
		return
	}
	var document struct{ Schema string }
	d := json.NewDecoder(strings.NewReader(stdout))
	ts.Check(d.Decode(&document))
	if d.More() || !strings.HasPrefix(document.Schema, "mrelease.") {
		ts.Fatalf("standard output is not one document that names its schema")
	}
}

// logged matches the lines of loggers: Go's own, logrus, klog and slog.
var logged = regexp.MustCompile(`(?m)^(?:\d{4}/\d\d/\d\d \d\d:|time=|level=|[IWEF]\d{4} \d\d:|(?:INFO|WARN|ERROR)(?:\[| ?:)).*$`)

// miscounted is one thing that is told as several.
var miscounted = regexp.MustCompile(`(?m)(?:^|[ (])1 (?:apps|changes|deals|files|layers|orders|others|problems|releases|requests|runs|sources|tasks|transactions)\b.*$`)

// masked is how GitHub is told what a secret is.
var masked = regexp.MustCompile(`(?m)^::add-mask::.*$`)

func checkPrinted(ts *testscript.TestScript, s *script, stdout, stderr string) {
	checkShown(ts, stdout, stderr)
	if ts.Getenv("GITHUB_ACTIONS") == "true" {
		stderr = masked.ReplaceAllString(stderr, "")
	}
	for _, secret := range s.secrets() {
		for _, form := range printable.Disguises(secret) {
			if strings.Contains(stdout+stderr, form) {
				ts.Fatalf("the secret %s was printed, as %s", secret, form)
			}
		}
	}
	if line := logged.FindString(stdout + stderr); line != "" {
		ts.Fatalf("a library's log was printed: %s", line)
	}
	if line := miscounted.FindString(stdout + stderr); line != "" {
		ts.Fatalf("one thing was told as several: %s", line)
	}
	if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "panic:") {
		ts.Fatalf("a stack trace was printed")
	}
}

// failureShape is how an error ends the story: code and what happened, evidence
// in indented lines, and the remedy.
var failureShape = regexp.MustCompile(`(?m)^(E-[A-Z-]+): \S.*(?:\n.*)*?\n(?:  +\S.*\n)+  remedy +\S.*\n`)

func checkFailure(ts *testscript.TestScript, stdout, stderr string) {
	var document struct {
		Schema, Code, What, Remedy string
		Evidence                   []struct{ Name, Value string }
		Exit                       int
	}
	if strings.Contains(stdout, "mrelease.error/v1") {
		// After the answer of verify stands the error: take the last document.
		d := json.NewDecoder(strings.NewReader(stdout))
		for d.More() {
			ts.Check(d.Decode(&document))
		}
		if document.Code == "" || document.What == "" || document.Remedy == "" || len(document.Evidence) == 0 || document.Exit == 0 {
			ts.Fatalf("the error lacks a part: %+v", document)
		}
	}
	if !failureShape.MatchString(stderr) {
		ts.Fatalf("the error does not consist of code, what, evidence and remedy")
	}
}

// addFault makes a service of the world fail, see package fault:
//
//	fault SERVICE KEY=VALUE...
//	fault used       all faults have happened
//	fault unused N   N faults have not happened; there are none any more
//	fault clear      there are none any more
//
// A script must not end with faults that never happened.
func addFault(ts *testscript.TestScript, s *script, args []string) {
	switch {
	case len(args) == 0:
		ts.Fatalf("usage: fault SERVICE KEY=VALUE..., fault used, or fault clear")
	case args[0] == "used":
		if left := s.world.Faults.Rules(); len(left) > 0 {
			ts.Fatalf("faults that did not happen: %+v", left)
		}
	case args[0] == "unused" && len(args) == 2:
		if left := s.world.Faults.Rules(); strconv.Itoa(len(left)) != args[1] {
			ts.Fatalf("of the faults are left: %+v", left)
		}
		s.world.Faults.Clear()
	case args[0] == "clear":
		s.world.Faults.Clear()
	default:
		rule, err := parseFault(args[0], args[1:])
		ts.Check(err)
		ts.Check(s.world.Faults.Add(rule))
	}
}

func parseFault(service string, settings []string) (fault.Rule, error) {
	document := map[string]any{"service": service}
	for _, setting := range settings {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return fault.Rule{}, fmt.Errorf("reading fault: want KEY=VALUE, got %q", setting)
		}
		document[key] = value
		if n, err := strconv.Atoi(value); err == nil && key != "again" {
			document[key] = n
		}
		if b, err := strconv.ParseBool(value); err == nil && key != "times" && key != "status" && key != "skip" && key != "again" {
			document[key] = b
		}
	}
	data, err := json.Marshal(document)
	if err != nil {
		return fault.Rule{}, err
	}
	var rule fault.Rule
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	return rule, d.Decode(&rule)
}

// serve answers requests with a file until the faults are cleared:
//
//	serve SERVICE METHOD PATH FILE
func serve(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: serve SERVICE METHOD PATH FILE")
	}
	ts.Check(s.world.Faults.Add(fault.Rule{Service: args[0], Method: args[1], Path: args[2], Status: 200, Body: ts.ReadFile(args[3]), Times: 1000}))
}

// readOnly makes every write to the world fail:
//
//	read-only on
//	read-only off    and none was tried since
func readOnly(ts *testscript.TestScript, s *script, args []string) {
	rules := []fault.Rule{{Service: "market", Method: "POST"}, {Service: "market", Method: "PUT"}, {Service: "rpc", Match: "eth_sendRawTransaction"}, {Service: "rpc-v5", Match: "eth_sendRawTransaction"}}
	// An upload that is begun (POST) and cancelled (DELETE) writes nothing: that takes one of these.
	for _, method := range []string{"PUT", "PATCH"} {
		rules = append(rules, fault.Rule{Service: "registry", Method: method})
	}
	rules = append(rules, fault.Rule{Service: "registry", Method: "DELETE", Path: "/v2/" + s.name + "/manifests/"})
	switch strings.Join(args, " ") {
	case "on":
		for _, r := range rules {
			r.Status = 500
			ts.Check(s.world.Faults.Add(r))
		}
	case "off":
		if left := s.world.Faults.Rules(); len(left) != len(rules) {
			ts.Fatalf("a write was tried; of the guards are left: %+v", left)
		}
		s.world.Faults.Clear()
	default:
		ts.Fatalf("usage: read-only on, or read-only off")
	}
}

// edit replaces a text in a file, once:
//
//	edit FILE OLD NEW
func edit(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(writeFile(ts.MkAbs(args[0]), strings.Replace(text, args[1], args[2], 1)))
}

// get puts a value of a JSON document into a variable:
//
//	get VARIABLE FILE KEY.KEY...
func get(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: get VARIABLE FILE KEY.KEY...")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &value))
	for key := range strings.SplitSeq(args[2], ".") {
		switch within := value.(type) {
		case map[string]any:
			value = within[key]
		case []any:
			i, err := strconv.Atoi(key)
			ts.Check(err)
			value = within[i]
		default:
			value = nil
		}
	}
	if value == nil {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(value))
}
