// Package citest is what GitHub's runner and GitLab make of a log, and GitLab of a
// report, for tests.
package citest

import (
	"fmt"
	"regexp"
	"strings"
)

// Commands returns the commands that the runner takes from a log (actions/runner,
// ActionCommandManager and ActionCommand): a line ends at each of \n and \r, spaces at
// its start do not count, ##[ counts anywhere, and while commands are stopped only the
// word that was given begins them again.
func Commands(log string) (commands []string) {
	stopped := ""
	for line := range strings.FieldsFuncSeq(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		name, message := "", ""
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "::"); ok {
			name, message, _ = strings.Cut(rest, "::")
		} else if _, rest, ok := strings.Cut(line, "##["); ok {
			name, message, _ = strings.Cut(rest, "]")
		} else {
			continue
		}
		switch {
		case stopped != "" && name == stopped:
			stopped = ""
		case stopped != "":
		case name == "stop-commands":
			stopped = message
		default:
			commands = append(commands, strings.TrimSpace(name+" "+message))
		}
	}
	return commands
}

// marker matches what begins or ends a section of a log in GitLab (lib/gitlab/regex.rb,
// build_trace_section_regex).
var marker = regexp.MustCompile(`section_(start|end):(\d+):([a-zA-Z0-9_.-]+)(\[\w+=\w+(?:, ?\w+=\w+)*\])?\r\x1b\[0K([^\r\n]*)`)

// Sections returns the sections that GitLab makes of a log: its header when one
// begins, "end of header" when one that is open ends. What ends a section that is not open
// is an error.
func Sections(log string) (sections []string, err error) {
	open := map[string]string{} // name -> header
	for _, m := range marker.FindAllStringSubmatch(log, -1) {
		kind, name, header := m[1], m[3], m[5]
		if _, there := open[name]; there == (kind == "start") {
			return sections, fmt.Errorf("section %s: %s", name, kind)
		}
		if kind == "start" {
			open[name] = header
			sections = append(sections, header)
			continue
		}
		sections = append(sections, "end of "+open[name])
		delete(open, name)
	}
	if len(open) > 0 {
		return sections, fmt.Errorf("sections that do not end: %q", open)
	}
	return sections, nil
}

// Dotenv reads a dotenv report as GitLab does (app/services/ci/parse_dotenv_artifact_service.rb):
// fewer than 5 kB, at most 20 lines of NAME=value with spaces around both taken away.
func Dotenv(report string) (map[string]string, error) {
	if len(report) >= 5<<10 {
		return nil, fmt.Errorf("dotenv artifact too big: %d bytes", len(report))
	}
	values := map[string]string{}
	for line := range strings.Lines(report) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || !regexp.MustCompile(`^[a-zA-Z0-9_]+$`).MatchString(key) {
			return nil, fmt.Errorf("invalid format: %q", line)
		}
		if strings.Contains(value, "$") {
			return nil, fmt.Errorf("%s is expanded: %q", key, value)
		}
		values[key] = value
	}
	if len(values) > 20 {
		return nil, fmt.Errorf("dotenv files cannot have more than 20 variables: %d", len(values))
	}
	return values, nil
}
