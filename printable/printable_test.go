package printable_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mrelease/mrelease/printable"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain text, ümlaut, 漢字 ✓": "plain text, ümlaut, 漢字 ✓",
		"a\tb":                     "a\tb",
		"\x1b[2J\x1b[32mPASSED":    `\x1b[2J\x1b[32mPASSED`,
		"a\nb\r\nc":                `a\nb\r\nc`,
		"\u009b31m":                `\u009b31m`, // the one-byte CSI
		"app\u202egnp.exe":         `app\u202egnp.exe`,
		"a\u200bb\u00a0c\ufeff":    `a\u200bb\u00a0c\ufeff`,
		"\u3164\u2800\ufe0f":       `\u3164\u2800\ufe0f`,
		"\U000e0041":               `\U000e0041`,
		"\xff\xc3(":                `\xff\xc3(`,
		"\x7f\x00":                 `\x7f\x00`,
		`C:\x1b`:                   `C:\x1b`,
		"##[add-mask]x":            `#\#[add-mask]x`,
		"a ###[group]":             `a ##\#[group]`,
		"##vso[task.setvariable]":  `#\#vso[task.setvariable]`,
		"## heading [1]":           "## heading [1]",
	} {
		if got := printable.Text(in); got != want {
			t.Errorf("Text(%+q) is %+q, want %+q", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	in := "a\n::add-mask::b\r\n \t::set-output name=x::y\nc :: d\nx\r::stop-commands::t\n"
	want := "a\n\\::add-mask::b\n \t\\::set-output name=x::y\nc :: d\nx\\r::stop-commands::t\n"
	if got := printable.Lines(in); got != want {
		t.Errorf("got %+q, want %+q", got, want)
	}
}

// command matches what a CI system takes for one.
var command = regexp.MustCompile(`(?m)^\s*::|##[A-Za-z]*\[`)

func checkShown(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%+q is no UTF-8", text)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%+q holds %U", text, r)
		}
	}
	if found := command.FindString(text); found != "" {
		t.Errorf("%+q holds the command %q", text, found)
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "\x1b[2J", "::a::b", "\u2028::x", "##[a]", "\xff##\xff[", "#\u200b#[", "a\r##[b", "\u00a0::c", "\U000e0001", `"\`, "####[["} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		text, lines := printable.Text(in), printable.Lines(in)
		checkShown(t, lines)
		if strings.Contains(text, "\n") || printable.Text(text) != text || printable.Lines(lines) != lines {
			t.Errorf("of %+q Text is %+q, then %+q; Lines is %+q, then %+q", in, text, printable.Text(text), lines, printable.Lines(lines))
		}
		valid := strings.ToValidUTF8(in, "?")
		document, err := json.MarshalIndent(map[string]any{"a": valid, valid: []string{valid}}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		escaped := printable.JSON(document)
		checkShown(t, string(escaped))
		var want, got any
		if err := json.Unmarshal(document, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+q became %+q: %v", document, escaped, err)
		}
		var out bytes.Buffer
		if _, err := printable.NewWriter(&out).Write(append(escaped, '\n')); err != nil || out.String() != string(escaped)+"\n" {
			t.Errorf("the writer changed %+q to %+q: %v", escaped, out.String(), err)
		}
	})
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := printable.NewWriter(&out)
	for _, piece := range []string{"#1 \x1b", "[2J", "\n  :", ":add-mask::x\n", "half"} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Printf("%s %-4s|%5.1f %s %d\n", printable.Own("\x1b[32m✓\x1b[0m"), "a\n", 1.25, fmt.Errorf("no\r%w", fmt.Errorf("\x07")), 7); err != nil {
		t.Fatal(err)
	}
	if err := w.Printf("%s\n", "::error::x"); err != nil {
		t.Fatal(err)
	}
	if err := w.Verbatim("::group::real\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "#1 \\x1b[2J\n  \\::add-mask::x\n\x1b[32m✓\x1b[0m a\\n |  1.2 no\\r\\a 7\n\\::error::x\nhalf\n::group::real\nend\n"
	if out.String() != want {
		t.Errorf("got  %+q\nwant %+q", out.String(), want)
	}
}

// Lines of several writers do not mix.
func TestWriterOfSeveral(t *testing.T) {
	var out bytes.Buffer
	w := printable.NewWriter(&out)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 200 {
				_ = w.Printf("line of %d\n", i)
				_ = w.Verbatim("::endgroup::\n")
			}
		})
	}
	all.Wait()
	for line := range strings.Lines(out.String()) {
		if !regexp.MustCompile(`^(line of \d|::endgroup::)\n$`).MatchString(line) {
			t.Errorf("line %q", line)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("no space left")

// A line that nobody could write is not forgotten, whoever wrote it.
func TestWriterKeepsErrors(t *testing.T) {
	for name, write := range map[string]func(*printable.Writer){
		"Printf":   func(w *printable.Writer) { _ = w.Printf("a\n") },
		"Write":    func(w *printable.Writer) { _, _ = w.Write([]byte("a\n")) },
		"Flush":    func(w *printable.Writer) { _, _ = w.Write([]byte("a")); _ = w.Flush() },
		"Verbatim": func(w *printable.Writer) { _ = w.Verbatim("a\n") },
	} {
		w := printable.NewWriter(full{})
		if w.Err() != nil {
			t.Errorf("%s: %v before anything was written", name, w.Err())
		}
		if write(w); !errors.Is(w.Err(), errFull) {
			t.Errorf("%s: %v", name, w.Err())
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 materials", 1: "1 material", 2: "2 materials"} {
		if got := printable.Count(n, "material"); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
