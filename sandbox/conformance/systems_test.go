//go:build conformance

package conformance

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workflow releases in GitHub, and hands on the plan and the record.
const workflow = `name: release
on: push
permissions: {}
jobs:
  release:
    runs-on: ubuntu-latest
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - id: plan
        uses: ./action
        with:
          binary: ${{ env.BINARY }}
          mode: plan
          version: 1.0.0
          config: |
            mrelease.yaml
            ${{ env.WORLD }}
      - id: release
        uses: ./action
        with:
          mode: release
          binary: ${{ env.BINARY }}
          version: 1.0.0
          config: |
            mrelease.yaml
            ${{ env.WORLD }}
      - env:
          PLAN: ${{ steps.plan.outputs.result-json }}
          RECORD: ${{ steps.release.outputs.record-path }}
        run: |
          printf '%s' "$PLAN" > "$RESULTS/plan.json"
          cp "$RECORD" "$RESULTS/record.json"
`

// releaseByAct runs the workflow on this machine.
func releaseByAct(t *testing.T, j job) outcome {
	results := t.TempDir()
	args := []string{"push", "-W", ".github/workflows/release.yml", "-P", "ubuntu-latest=-self-hosted", "--no-cache-server"}
	for _, variable := range append(j.env, "BINARY="+program(t, "mrelease"), "WORLD="+filepath.Join(j.world, "mrelease.yaml"), "RESULTS="+results) {
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
const pipeline = `include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/release@$CI_COMMIT_SHA
    inputs:
      image: registry.example/mrelease@sha256:0000000000000000000000000000000000000000000000000000000000000000
      config: mrelease.yaml $WORLD
      version: 1.0.0
`

// releaseByGitLab runs the jobs of the template in a shell of this machine.
func releaseByGitLab(t *testing.T, j job) outcome {
	start := absolute(t, "../gitlab/node_modules/.bin/gitlab-ci-local")
	job := func(name string, variables ...string) {
		args := []string{"--force-shell-executor", "--no-color"}
		for _, variable := range append(append(variables, j.env...), "WORLD="+filepath.Join(j.world, "mrelease.yaml")) {
			args = append(args, "--variable", variable)
		}
		c := exec.CommandContext(t.Context(), start, append(args, name)...)
		c.Dir, c.Env = j.dir, append(os.Environ(), "PATH="+filepath.Dir(program(t, "mrelease"))+":"+os.Getenv("PATH"), "HOME="+j.state)
		run(t, c)
	}
	job("mrelease-plan", "CI_PIPELINE_SOURCE=merge_request_event")
	plan := read(t, filepath.Join(j.dir, "dist", "result.json"))
	job("mrelease-release", "CI_COMMIT_TAG="+version)
	checkReports(t, filepath.Join(j.dir, "dist"))
	return outcome{read(t, filepath.Join(j.dir, "dist", "record.json")), plan}
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
