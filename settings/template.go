package settings

import (
	"cmp"
	_ "embed" // the template
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

//go:embed template.yaml
var template string

// Template returns a configuration to begin with, from what is known of a project.
// In the text that it is made from, each @name@ stands on a line of its own, or
// for one value. A value that only the user can know is written as a comment
// marked "yours": the key is missing until it is filled in. One that the project has,
// but that could not be read, is written as a value that no key takes: a default in its
// place may be weaker than what was meant.
func Template(p iexeccli.Project) string {
	return strings.NewReplacer(
		"@image@", pick(p.Image != "", "image: "+yamlText(p.Image), "# image: ghcr.io/acme/hello # yours"),
		"@name@", pick(p.Name != "", "name: "+yamlText(p.Name), "# name: hello"),
		"@format@\n", formatLine(p),
		"@enclave@\n", enclaveLines(p),
		"@chain@", chainLines(p),
		"@wallet@\n", walletLines(p),
		"@order@\n", orderLines(p),
	).Replace(withFindable(p))
}

// undecided stands for a value that could not be read.
const undecided = "undecided"

// withFindable returns the text, and of its lines on what makes an order findable those
// that the project does not decide.
func withFindable(p iexeccli.Project) string {
	enclave, order, _ := strings.Cut(template, "\norder:\n")
	return optional(enclave, findable(p) && p.Format == "") + "\norder:\n" + optional(order, findable(p))
}

// optional returns a text with the lines between its marks, or without.
func optional(text string, with bool) string {
	before, rest, _ := strings.Cut(text, "@findable@\n")
	lines, after, _ := strings.Cut(rest, "@end@\n")
	return before + pick(with, lines, "") + after
}

// findable reports whether the text says what makes the order findable: its tag is the
// default, and is not written, so that one of the comments can be.
func findable(p iexeccli.Project) bool {
	_, open := p.Undecided["order.tag"]
	return !open && (p.Order.Tag == nil || *p.Order.Tag == poco.TEE())
}

// formatLine is the line of the enclave's format; without one, so that a comment can be,
// where the project has none.
func formatLine(p iexeccli.Project) string {
	if p.Format == "" {
		return ""
	}
	return "  format: " + string(p.Format) + "\n"
}

// undecidedLine is the line of a key whose value could not be read, or empty.
func undecidedLine(p iexeccli.Project, indent, key string) string {
	said, ok := p.Undecided[key]
	if !ok {
		return ""
	}
	name := key[strings.LastIndexByte(key, '.')+1:]
	return fmt.Sprintf("%s%s: %s # yours: %s says %s\n", indent, name, undecided, said.From, quoted(said.Text))
}

// quoted writes a text of somebody else for a comment.
func quoted(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:80]) + "…"
	}
	return strconv.QuoteToASCII(text)
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func enclaveLines(p iexeccli.Project) string {
	if p.Format != measure.JSON {
		return ""
	}
	heap := ""
	if p.Enclave.HeapSize != 0 {
		heap = strconv.FormatUint(p.Enclave.HeapSize, 10)
	}
	lines := cmp.Or(undecidedLine(p, "  ", "enclave.framework"), setting("  ", "framework", p.Enclave.Framework)) +
		setting("  ", "version", p.Enclave.Version)
	if _, open := p.Undecided["enclave.framework"]; !open && !p.Enclave.RunsProgram() {
		return lines
	}
	return lines + setting("  ", "entrypoint", p.Enclave.Entrypoint) +
		cmp.Or(undecidedLine(p, "  ", "enclave.heap"), setting("  ", "heap", heap))
}

// setting is a line of the configuration; one without a value is the user's.
func setting(indent, key, value string) string {
	if value == "" {
		return fmt.Sprintf("%s# %s: # yours\n", indent, key)
	}
	return fmt.Sprintf("%s%s: %s\n", indent, key, yamlText(value))
}

// chainLines names the chain, and describes it where it is not as built in.
func chainLines(p iexeccli.Project) string {
	c := p.Chain
	if line := undecidedLine(p, "", "chain"); line != "" {
		return strings.TrimSuffix(line, "\n")
	}
	if reflect.ValueOf(c).IsZero() {
		return "chain: bellecour # yours"
	}
	lines := "chain: " + yamlText(c.Name)
	if slices.ContainsFunc(poco.Chains(), func(p poco.Chain) bool { return reflect.DeepEqual(p, c) }) {
		return lines
	}
	hub := ""
	if c.Hub != (common.Address{}) {
		hub = c.Hub.Hex()
	}
	lines += "\nchains:\n  " + yamlText(c.Name) + ":\n" +
		setting("    ", "id", strconv.FormatUint(c.ID, 10)) + setting("    ", "rpc", c.RPC) + setting("    ", "hub", hub) +
		setting("    ", "market", c.Market) + setting("    ", "fees", string(c.Fees))
	return strings.TrimSuffix(lines, "\n")
}

func walletLines(p iexeccli.Project) string {
	lines := "  keystore: wallet.json # yours: a keystore file of version 3, or a folder of them\n"
	if p.Wallet != "" {
		lines = "  keystore: " + yamlText(p.Wallet) + "\n"
	}
	if p.Owner != (common.Address{}) {
		lines += setting("  ", "address", p.Owner.Hex())
	}
	return lines + undecidedLine(p, "  ", "wallet.address")
}

// orderLines write the terms; those that the project does not say are the defaults.
func orderLines(p iexeccli.Project) string {
	o, d := p.Order, Defaults().Order
	lines := ""
	for _, term := range []struct{ key, text string }{
		{"price", fmt.Sprint(*cmp.Or(o.Price, &d.Price))}, {"volume", fmt.Sprint(*cmp.Or(o.Volume, &d.Volume))}, {"tag", tagText(*cmp.Or(o.Tag, &d.Tag))},
	} {
		if term.key == "tag" && findable(p) {
			continue
		}
		lines += cmp.Or(undecidedLine(p, "  ", "order."+term.key), "  "+term.key+": "+term.text+"\n")
	}
	for _, r := range []struct {
		key string
		who common.Address
	}{{"datasetrestrict", o.DatasetRestrict}, {"workerpoolrestrict", o.WorkerpoolRestrict}, {"requesterrestrict", o.RequesterRestrict}} {
		if r.who != (common.Address{}) {
			lines += setting("  ", r.key, r.who.Hex())
		}
		lines += undecidedLine(p, "  ", "order."+r.key)
	}
	return lines
}

// tagText writes a tag by its names if all its bits have one.
func tagText(t poco.Tag) string {
	names := t.Names()
	for _, n := range names {
		if !slices.Contains(poco.TagNames(), n) {
			return yamlText(t.String())
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// yamlText writes a text as a YAML scalar, quoted where it would read as
// something else.
func yamlText(text string) string {
	plain := regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._/@:-]*[A-Za-z0-9]|[1-9][0-9]*)$`)
	words := regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null)$`)
	if plain.MatchString(text) && !words.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
