package printable_test

import (
	"strings"
	"testing"

	"github.com/mrelease/mrelease/printable"
)

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"hello": "", "hello world": "", "größe": "", "漢字": "",
		"hel\tlo": "cannot be seen", "hel\nlo": "cannot be seen", "a\u200bb": "cannot be seen", "a\u202eb": "cannot be seen", "\xff": "cannot be seen",
		" a": "space", "a ": "space", "gro\u0308\u00dfe": "NFC",
	} {
		err := printable.CheckName(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("CheckName(%+q): %v, want %q", name, err, want)
		}
		if err != nil && printable.Text(err.Error()) != err.Error() {
			t.Errorf("CheckName(%+q): the error holds what it refuses: %+q", name, err)
		}
	}
}

func TestScripts(t *testing.T) {
	for name, want := range map[string]string{
		"hello-world_1.0": "", "größe": "", "привет": "", "日本語アプリ app": "", "한국 app 漢": "", "": "", "123": "",
		"pаypal": "Cyrillic, Latin", "αpp": "Greek, Latin", "аpp漢": "Cyrillic, Han, Latin",
	} {
		if got := strings.Join(printable.Scripts(name), ", "); got != want {
			t.Errorf("Scripts(%q): %q, want %q", name, got, want)
		}
	}
}
