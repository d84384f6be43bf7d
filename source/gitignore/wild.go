package gitignore

import "strings"

// wild compares a path with a pattern, as git does, byte by byte: ? and * stand for what
// is no slash, ** between slashes for any folders, and [...] for one of some bytes. A
// pattern that is malformed fits nothing.
func wild(pattern, text string) bool {
	return (&matcher{pattern, text, maxSteps}).match(0, 0) == fits
}

// maxSteps bounds the comparison of one path with one pattern, which has more ways to fail
// with every **. What takes more fits nothing.
const maxSteps = 1 << 16

type matcher struct {
	pattern, text string
	steps         int
}

// outcome is how a comparison ended. The last two spare the stars before it what cannot
// help.
type outcome int

const (
	differs outcome = iota
	fits
	ended  // the text was too short
	folder // a star met a slash: a ** before it may help, a * not
)

// match compares what is left of the pattern and of the text.
func (m *matcher) match(p, t int) outcome {
	for p < len(m.pattern) {
		if m.steps--; m.steps < 0 {
			return ended
		}
		if m.pattern[p] == '*' {
			return m.star(p, t)
		}
		if t == len(m.text) {
			return ended
		}
		same, next := m.one(p, m.text[t])
		switch {
		case next < 0:
			return ended
		case !same:
			return differs
		}
		p, t = next, t+1
	}
	if t == len(m.text) {
		return fits
	}
	return differs
}

// one compares a byte with what stands for one, and returns the place behind that;
// negative when it is malformed.
func (m *matcher) one(p int, b byte) (same bool, next int) {
	switch c := m.pattern[p]; c {
	case '?':
		return b != '/', p + 1
	case '[':
		in, next := class(m.pattern, p, b)
		return in && b != '/', next
	case '\\':
		if p+1 == len(m.pattern) {
			return false, -1
		}
		return m.pattern[p+1] == b, p + 2
	default:
		return c == b, p + 1
	}
}

// star tries what a star may stand for.
func (m *matcher) star(p, t int) outcome {
	end := p
	for end < len(m.pattern) && m.pattern[end] == '*' {
		end++
	}
	rest := m.pattern[end:]
	deep := end-p >= 2 && (p == 0 || m.pattern[p-1] == '/') && (rest == "" || rest[0] == '/')
	if deep && rest != "" && m.match(end+1, t) == fits { // **/ may be nothing
		return fits
	}
	for ; ; t++ {
		switch o := m.match(end, t); {
		case o == fits || o == ended:
			return o
		case o == folder && !deep:
			return o
		case t == len(m.text):
			return ended
		case m.text[t] == '/' && !deep:
			return folder
		}
	}
}

// class reports whether a byte is in the class that begins at a place of a pattern, and
// returns the place behind it; negative when it is malformed.
func class(pattern string, at int, b byte) (in bool, next int) {
	at++
	negated := at < len(pattern) && (pattern[at] == '!' || pattern[at] == '^')
	if negated {
		at++
	}
	var last byte // before a -, which a range may begin with
	for first := true; ; first = false {
		if at >= len(pattern) {
			return false, -1
		}
		c := pattern[at]
		switch {
		case c == ']' && !first:
			return in != negated, at + 1
		case c == '\\':
			if at++; at >= len(pattern) {
				return false, -1
			}
			c = pattern[at]
			in, last = in || b == c, c
		case c == '-' && last != 0 && at+1 < len(pattern) && pattern[at+1] != ']':
			at++
			if c = pattern[at]; c == '\\' {
				if at++; at >= len(pattern) {
					return false, -1
				}
				c = pattern[at]
			}
			in, last = in || last <= b && b <= c, 0
		case c == '[' && at+1 < len(pattern) && pattern[at+1] == ':':
			name, _, closed := strings.Cut(pattern[at+2:], "]")
			if !closed {
				return false, -1
			}
			if !strings.HasSuffix(name, ":") { // an ordinary [
				in, last = in || b == c, c
				break
			}
			test, known := classes()[strings.TrimSuffix(name, ":")]
			if !known {
				return false, -1
			}
			in, last = in || test(b), 0
			at += 2 + len(name)
		default:
			in, last = in || b == c, c
		}
		at++
	}
}

// classes are those of POSIX, for bytes; to git a vertical tab and a form feed are no
// space (git-compat-util.h).
func classes() map[string]func(byte) bool {
	between := func(ranges string) func(byte) bool {
		return func(b byte) bool {
			for i := 0; i < len(ranges); i += 2 {
				if ranges[i] <= b && b <= ranges[i+1] {
					return true
				}
			}
			return false
		}
	}
	return map[string]func(byte) bool{
		"alnum": between("azAZ09"), "alpha": between("azAZ"), "blank": between("  \t\t"), "cntrl": between("\x00\x1f\x7f\x7f"),
		"digit": between("09"), "graph": between("!~"), "lower": between("az"), "print": between(" ~"), "punct": between("!/:@[`{~"),
		"space": between("\t\n\r\r  "), "upper": between("AZ"), "xdigit": between("09afAF"),
	}
}
