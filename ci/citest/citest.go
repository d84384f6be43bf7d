// Package citest is what GitHub's runner makes of a log, for tests.
package citest

import "strings"

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
