package measure

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What SCONE's runtime reads and prints. With SCONE_HASH=1 it prints the
// MRENCLAVE alone on standard output and ends without running the program;
// warnings go to standard error (SCONE documentation, page MrEnclave).
const hashSetting = "SCONE_HASH=1"

// heapSetting gives the runtime a heap as iExec's worker does: in bytes.
func heapSetting(bytes uint64) string { return fmt.Sprintf("SCONE_HEAP=%d", bytes) }

// RunsProgram reports whether the value of an object's framework names what the
// enclave starts, and its heap. iExec's SDK refuses these keys for any other.
func (o Object) RunsProgram() bool { return o.Framework == "SCONE" }

// parseHashOutput reads what the runtime printed in hash mode. A terminal's
// carriage return is taken; anything else beside the one line is an error, as
// it is for iExec's own service.
func parseHashOutput(out output) (MRENCLAVE, error) {
	text := strings.ReplaceAll(out.stdout.String(), "\r\n", "\n")
	line, rest, _ := strings.Cut(text, "\n")
	m, err := ParseMRENCLAVE(line)
	switch {
	case out.exitCode != 0:
		return MRENCLAVE{}, out.problem(fmt.Sprintf("ended with exit code %d", out.exitCode))
	case strings.TrimSpace(text) == "":
		return MRENCLAVE{}, out.problem("printed nothing")
	case err != nil:
		return MRENCLAVE{}, out.problem("printed something else: " + err.Error())
	case rest != "" && allHashes(text):
		return MRENCLAVE{}, out.problem("printed more than one measurement")
	case rest != "":
		return MRENCLAVE{}, out.problem("printed more than the measurement")
	}
	return m, nil
}

func allHashes(text string) bool {
	for line := range strings.Lines(text) {
		if _, err := ParseMRENCLAVE(strings.TrimSuffix(line, "\n")); err != nil {
			return false
		}
	}
	return true
}

// printedMarks are the ways in which the build scripts in use announce a
// fingerprint: iExec's template of 2019 (MREnclave: …), its scripts of 2020
// (<mrenclave>…</mrenclave>) and the iexec.json line of its demo apps. A line that
// is nothing but a fingerprint needs no announcement: nothing else looks like it.
var printedMarks = []*regexp.Regexp{
	regexp.MustCompile(`(?:^|\s)MREnclave:\s*(\S.*?)\s*$`),
	regexp.MustCompile(`<mrenclave>(.*)</mrenclave>`),
	regexp.MustCompile(`"mrenclave":\s*"([^"]*)"`),
	regexp.MustCompile(`^\s*([0-9a-fA-F]{64}\|[0-9a-fA-F]{32}\|[0-9a-fA-F]{64})\s*$`),
}

// announcement is the line with which seal scripts of 2020 announce the next one. What
// stands there is a fingerprint even if it is malformed, and then told as such.
var announcement = regexp.MustCompile(`fingerprint \(use this when`)

// printedStatements returns the fingerprints that a build's output announces,
// each once, in order.
func printedStatements(log []byte) []string {
	var found []string
	seen := map[string]bool{}
	add := func(text string) {
		if !seen[text] {
			seen[text] = true
			found = append(found, text)
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, maxLine)
	announced := false
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if announced && strings.Contains(line, "|") {
			add(line)
		}
		announced = announcement.MatchString(line)
		for _, mark := range printedMarks {
			if m := mark.FindStringSubmatch(line); m != nil {
				add(m[1])
			}
		}
	}
	return found
}

// keytagMark begins the line that "scone fspf encrypt" prints.
const keytagMark = "Encrypted file system protection file "

var keytagLine = regexp.MustCompile(`^` + keytagMark + `\S+ AES-GCM tag: (\S*) key: (\S*)$`)

// parseKeytag reads the line that states a seal's KEY and TAG.
func parseKeytag(text string) (*Fingerprint, error) {
	parts := keytagLine.FindStringSubmatch(text)
	if parts == nil {
		return nil, &FormatError{"seal", "is not written as the toolchain does, which is " + keytagMark + "FILE AES-GCM tag: TAG key: KEY", excerpt(text)}
	}
	var f Fingerprint
	if err := decodeHex("TAG", parts[1], f.Tag[:]); err != nil {
		return nil, err
	}
	return &f, decodeHex("KEY", parts[2], f.Key[:])
}

// signedLine states an enclave's measurement in the output of "scone-signer
// info", which has it twice: for an enclave that does not grow, which is the one
// that iExec starts, and for one that does.
var signedLine = regexp.MustCompile(`(?m)^\s*MRENCLAVE: (\S+)\r?$`)

// printedSignature returns the first measurement that scone-signer printed, or
// nothing.
func printedSignature(log []byte) string {
	if match := signedLine.FindSubmatch(log); match != nil {
		return string(match[1])
	}
	return ""
}

// maxLine bounds a line of the build's output that is looked at; longer ones
// end the search, which no announcement follows in practice.
const maxLine = 1 << 20

// measuredSettings are the variables that the runtime measures or that decide which
// libraries it loads and measures (SCONE documentation, pages SCONE_ENV and MrEnclave),
// with short names.
func measuredSettings() map[string]string {
	return map[string]string{
		"SCONE_HEAP": "heap", "SCONE_MIN_HEAP": "min-heap", "SCONE_STACK": "stack", "SCONE_ALLOW_DLOPEN": "dlopen", "SCONE_TCS": "tcs",
		"SCONE_MPROTECT": "mprotect", "SCONE_FORK": "fork", "SCONE_SYSLIBS": "syslibs", "SCONE_EXTENSIONS_PATH": "extensions",
		"LD_LIBRARY_PATH": "library-path", "LD_PRELOAD": "preload",
	}
}

// runtimeSettings returns of an environment what the runtime takes into account in hash
// mode, and nothing else: above all no measurement that a program could print.
func runtimeSettings(env []string) []string {
	measured := measuredSettings()
	return slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		_, err := ParseMRENCLAVE(value)
		return measured[name] == "" && name != "SCONE_MODE" && name != "SCONE_ALPINE" || err == nil
	})
}

// Settings returns the [measuredSettings] of an image's environment by their short
// names. Sizes are written as 64M or 1G.
func Settings(env []string) map[string]string {
	short := measuredSettings()
	found := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if key, ok := short[name]; ok {
			found[key] = FormatSize(value)
		}
	}
	return found
}

// SealFiles returns the names of the files in which a seal of 2019 (FSPF) leaves
// its random key, or what follows from it: the protection file, and what build
// scripts keep of the tools' output.
func SealFiles() []string { return []string{"fspf.pb", "keytag"} }
