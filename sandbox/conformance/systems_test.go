//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workflow is the one of docs/github.md in which a release is approved, with this
// checkout's action, the program of the tests and the world; it hands on plan and record.
func workflow(t *testing.T) string {
	t.Helper()
	page := string(read(t, "../../docs/github.md"))
	_, text, _ := strings.Cut(page, "\n## With an approval\n")
	_, text, _ = strings.Cut(text, "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	const more = `binary: "${{ env.BINARY }}", version: 1.0.0, config: "mrelease.yaml\n${{ env.WORLD }}"`
	for _, change := range [][2]string{
		{"uses: mrelease/mrelease@<commit of a release>", "uses: ./action"},
		{"with: {mode: plan}\n", "with: {mode: plan, " + more + "}\n      - {env: {PLAN: \"${{ steps.plan.outputs.result-json }}\"}, run: printf '%s' \"$PLAN\" > \"$RESULTS/plan.json\"}\n"},
		{"          mode: apply\n", "          mode: apply\n          " + strings.ReplaceAll(more, ", ", "\n          ") + "\n"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the workflow of docs/github.md has no %q:\n%s", change[0], text)
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	return text + "      - run: cp dist/record.json \"$RESULTS/record.json\"\n"
}

// releaseByAct runs the workflow on this machine.
func releaseByAct(t *testing.T, j job) outcome {
	results := t.TempDir()
	args := []string{"push", "-W", ".github/workflows/release.yml", "-P", "ubuntu-latest=-self-hosted", "--no-cache-server"}
	for _, variable := range j.env {
		name, value, _ := strings.Cut(variable, "=")
		if name = strings.TrimPrefix(name, "MRELEASE_"); strings.HasSuffix(name, "PASSWORD") {
			args = append(args, "--secret", name+"="+value)
		} else {
			args = append(args, "--env", variable)
		}
	}
	for _, variable := range []string{"BINARY=" + program(t, "mrelease"), "WORLD=" + filepath.Join(j.world, "mrelease.yaml"), "RESULTS=" + results} {
		args = append(args, "--env", variable)
	}
	c := exec.CommandContext(t.Context(), program(t, "act"), args...)
	c.Dir, c.Env = j.dir, append(os.Environ(), "HOME="+t.TempDir(), "NO_COLOR=1")
	log := run(t, c)
	for _, want := range []string{
		`set-output:: digest=sha256:[0-9a-f]{64}\n`, `set-output:: mrenclave=53594e54[0-9a-f]{56}\n`, `set-output:: app-address=0x[0-9A-Fa-f]{40}\n`,
		`set-output:: order-hash=0x[0-9a-f]{64}\n`, `set-output:: plan-hash=[0-9a-f]{64}\n`, `set-output:: record-path=dist/record.json\n`, `### ✓ (Released|Nothing)`,
	} {
		if !regexp.MustCompile(want).Match(log) {
			t.Errorf("the workflow's log does not match %s", want)
		}
	}
	return outcome{read(t, filepath.Join(results, "record.json")), read(t, filepath.Join(results, "plan.json"))}
}

// pipeline includes the component as its own project's tests do: at the commit.
func pipeline(approve bool) string {
	return fmt.Sprintf(`include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/release@$CI_COMMIT_SHA
    inputs:
      image: registry.example/mrelease@sha256:0000000000000000000000000000000000000000000000000000000000000000
      config: mrelease.yaml $WORLD
      version: 1.0.0
      approve: "%t"
`, approve)
}

// releaseByGitLab runs the jobs of the template in a shell of this machine.
func releaseByGitLab(t *testing.T, j job) outcome {
	start := absolute(t, "../gitlab/node_modules/.bin/gitlab-ci-local")
	job := func(file, name string, variables ...string) {
		args := []string{"--force-shell-executor", "--no-color", "--file", file}
		for _, variable := range append(append(variables, j.env...), "WORLD="+filepath.Join(j.world, "mrelease.yaml")) {
			args = append(args, "--variable", variable)
		}
		c := exec.CommandContext(t.Context(), start, append(args, name)...)
		c.Dir, c.Env = j.dir, append(os.Environ(), "PATH="+filepath.Dir(program(t, "mrelease"))+":"+os.Getenv("PATH"), "HOME="+j.state)
		run(t, c)
	}
	tag := "CI_COMMIT_TAG=" + version
	job(".gitlab-ci.yml", "mrelease-plan", "CI_PIPELINE_SOURCE=merge_request_event")
	plan := read(t, filepath.Join(j.dir, "dist", "result.json"))
	job("approved.yml", "mrelease-plan", tag)
	var approved struct{ Hash string }
	must(t, json.Unmarshal(read(t, filepath.Join(j.dir, "dist", "plan.json")), &approved))
	job("approved.yml", "mrelease-apply", tag, "APPROVED_PLAN="+approved.Hash)
	checkReports(t, filepath.Join(j.dir, "dist"))
	record := read(t, filepath.Join(j.dir, "dist", "record.json"))
	job(".gitlab-ci.yml", "mrelease-release", tag)
	checkReports(t, filepath.Join(j.dir, "dist"))
	if again := read(t, filepath.Join(j.dir, "dist", "record.json")); !bytes.Equal(again, record) {
		t.Errorf("after an approved release a release has the record\n%s, want\n%s", again, record)
	}
	return outcome{record, plan}
}

// checkReports looks for what GitLab takes of a job.
func checkReports(t *testing.T, dist string) {
	t.Helper()
	dotenv := string(read(t, filepath.Join(dist, "released.env")))
	for _, want := range []string{
		`RELEASED_DIGEST=sha256:[0-9a-f]{64}`, `RELEASED_MRENCLAVE=53594e54[0-9a-f]{56}`, `RELEASED_APP_ADDRESS=0x[0-9A-Fa-f]{40}`,
		`RELEASED_ORDER_HASH=0x[0-9a-f]{64}`, `RELEASED_RECORD_PATH=dist/record\.json`, `RELEASED_RESULT_JSON_PATH=dist/result\.json`, `RELEASED_SUMMARY_PATH=dist/summary\.md`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(dotenv) {
			t.Errorf("released.env does not match %s:\n%s", want, dotenv)
		}
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	must(t, xml.Unmarshal(read(t, filepath.Join(dist, "junit.xml")), &report))
	if len(report.Suites) != 1 || len(report.Suites[0].Cases) < 10 {
		t.Errorf("junit.xml has %+v, want a suite with a case for each step", report)
	}
	if summary := string(read(t, filepath.Join(dist, "summary.md"))); !strings.HasPrefix(summary, "### ✓ ") {
		t.Errorf("summary.md is\n%s", summary)
	}
}
