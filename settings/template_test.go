package settings

import "testing"

func TestYAMLText(t *testing.T) {
	for text, want := range map[string]string{
		"hello": "hello", "ghcr.io/acme/hello": "ghcr.io/acme/hello", "localhost:5000/hello": "localhost:5000/hello", "http://localhost:8545": "http://localhost:8545",
		"1073741824": "1073741824", "SCONE": "SCONE", "v5.9": "v5.9",
		"true": `"true"`, "No": `"No"`, "0x12": `"0x12"`, "007": `"007"`, "a b": `"a b"`, "a: b": `"a: b"`, "a #b": `"a #b"`, "a:": `"a:"`, "": `""`, "é\n": `"é\n"`, `"`: `"\""`, "- a": `"- a"`, "a\u2028": `"a\u2028"`,
	} {
		if got := yamlText(text); got != want {
			t.Errorf("%q is written as %s, want %s", text, got, want)
		}
	}
}
