package settings

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Apps are the apps of a configuration that has several.
type Apps struct {
	// Chosen is the app that the settings are of; empty where there is one app only, and in
	// the settings that all apps have in common.
	Chosen string
	// Names are those of all apps, in their order; empty where there is one app only.
	Names []string

	entries []node
	others  []*Settings // of the other apps
}

// MaxApps is how many apps a configuration may have. How many orders of one wallet are open
// at a time is for the market to say.
const MaxApps = 100

// appName matches the names of apps: they are folders, words of a command line, and names
// on the chain.
const appName = `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`

// commonKeys are the keys that an app has in common with the others: they share one wallet,
// which sends one transaction after the other, one chain, one market, and one key that signs.
func commonKeys() []string { return []string{"apps", "builders", "chain", "chains", "sign", "wallet"} }

// ownKeys are those that an app may set for itself.
func ownKeys() []string {
	return slices.DeleteFunc(keys(reflect.TypeFor[Settings]()), func(key string) bool { return slices.Contains(commonKeys(), key) })
}

// LockName is the name of the file with what was accepted: of the app, where there are
// several.
func (a Apps) LockName(usual string) string { return a.lockOf(a.Chosen, usual) }

func (Apps) lockOf(app, usual string) string {
	if app == "" {
		return usual
	}
	ext := filepath.Ext(usual)
	return strings.TrimSuffix(usual, ext) + "." + app + ext
}

// LockNames are those of all apps.
func (a Apps) LockNames(usual string) (all []string) {
	for _, app := range a.Names {
		all = append(all, a.lockOf(app, usual))
	}
	return all
}

// Output is where something lies that a release makes, below dist: of the app, where there
// are several.
func (a Apps) Output(name string) string { return filepath.Join("dist", a.Chosen, name) }

// entry is what a Checker of one app knows of the app's place in the configuration.
type entry struct {
	key   string          // apps[1]
	where string          // file:line:column
	own   map[string]bool // keys that are set there
}

// owns reports whether what is said of a key is about the entry: it sets the key or, where
// nobody does, what is above it; and nobody else could set it.
func (e *entry) owns(key string, set bool) bool {
	if e == nil || e.own[key] {
		return e != nil
	}
	return !set && !slices.Contains(commonKeys(), strings.SplitN(key, ".", 2)[0])
}

// apps reads the list of apps, each of which is read once all is known that they have in
// common. A later file's list takes the place of an earlier one.
func (d *decoder) apps(n node, into *Apps) {
	list, ok := n.Node.(*ast.SequenceNode)
	if !ok {
		d.fail(n, "want a list of apps, got %s", kind(n.Node))
		return
	}
	*into = Apps{}
	if len(list.Values) > MaxApps {
		d.fail(n, "are %d, more than %d", len(list.Values), MaxApps)
		return
	}
	seen := map[string]int{}
	for i, value := range list.Values {
		item := d.resolve(node{value, n.path, fmt.Sprintf("%s[%d]", n.key, i), n.anchors})
		name := d.appName(item)
		if name == "" {
			continue
		}
		if first, twice := seen[strings.ToLower(name)]; twice {
			d.fail(item.child("name", item.Node), "%s is the name of apps[%d] too, in small or capital letters: each app has one of its own", name, first)
			continue
		}
		seen[strings.ToLower(name)] = i
		into.Names, into.entries = append(into.Names, name), append(into.entries, item)
	}
}

// notFolders are names that files and folders of dist have already, and those of devices of
// Windows.
func notFolders() []string {
	return []string{"summary.md", "plan.json", "record.json", "image", "image.lock", "image.log", "image.spdx.json", "unsealed", "unsealed.log", "canary", "con", "nul", "aux", "prn"}
}

// appName reads the name of an app; empty for one that cannot be taken.
func (d *decoder) appName(n node) string {
	pairs, ok := n.Node.(*ast.MappingNode)
	if !ok {
		d.fail(n, "want keys and values, got %s", kind(n.Node))
		return ""
	}
	for _, pair := range pairs.Values {
		if pair.Key.GetToken().Value != "name" {
			continue
		}
		value := d.resolve(n.child("name", pair.Value))
		name, _ := scalarText(value.Node)
		if !regexp.MustCompile(appName).MatchString(name) {
			d.fail(value, "want a name of at most 64 letters, digits and . _ -, the first a letter or digit, got %q", name)
			return ""
		}
		if strings.HasSuffix(name, ".") || slices.ContainsFunc(notFolders(), func(other string) bool { return strings.EqualFold(other, name) }) {
			d.fail(value, "%q can be no folder below dist: want another name", name)
			return ""
		}
		return name
	}
	d.fail(n.child("name", n.Node), "is missing: each app has one, which --only takes, and which the chain has")
	return ""
}

// each makes a Checker for each app that is chosen.
func (c *Checker) each(from Sources) {
	all := c.Settings.Apps
	if len(all.Names) == 0 {
		if len(from.Only) > 0 && !c.unread {
			c.Problems = append(c.Problems, Problem{Where: onlyFlag, Text: "the configuration has one app only, and no apps"})
		}
		return
	}
	for _, name := range from.Only {
		if !slices.Contains(all.Names, name) {
			c.Problems = append(c.Problems, Problem{Where: onlyFlag, Text: unknownApp(name, all.Names)})
		}
	}
	for i, item := range all.entries {
		app := c.ofEntry(item, all.Names[i], from)
		c.everyApp = append(c.everyApp, app)
		if len(from.Only) == 0 || slices.Contains(from.Only, all.Names[i]) {
			c.chosen = append(c.chosen, app)
		}
	}
	c.compareApps()
	c.keepApart()
}

// onlyFlag is where the apps are chosen.
const onlyFlag = "flag --only"

func unknownApp(name string, known []string) string {
	text := fmt.Sprintf("there is no app %s; the apps are %s", name, strings.Join(known, ", "))
	if near := Nearest(name, known); near != "" {
		text += ": did you mean " + near + "?"
	}
	return text
}

// ofEntry is the Checker of an app: what all have in common, then what the entry says, then
// environment and flags, which come last everywhere.
func (c *Checker) ofEntry(item node, name string, from Sources) *Checker {
	app := &Checker{
		decoder:  &decoder{Problems: slices.Clone(c.Problems), places: maps.Clone(c.places), unread: c.unread},
		Settings: c.Settings.clone(), Files: c.Files, entry: &entry{item.key, item.where(), map[string]bool{}},
	}
	app.Settings.Apps.Chosen = name
	known := len(app.Problems)
	app.mapping(node{item.Node, item.path, "", item.anchors}, reflect.ValueOf(&app.Settings).Elem(), app.appField)
	for key, where := range app.places {
		app.entry.own[key] = c.places[key] != where
	}
	for _, p := range app.Problems[min(known, len(app.Problems)):] {
		app.entry.own[p.Key] = true
	}
	app.overridden(from)
	if _, set := app.places["record"]; !set {
		app.Settings.Record = Path(app.Settings.Apps.Output("record.json"))
	}
	return app
}

// appField is field for an entry of apps.
func (d *decoder) appField(n node, key string, value ast.Node, v reflect.Value) {
	switch {
	case key == "version":
		d.fail(n.child(key, value), "is the same for all apps, and no key: --version says it, or the git tag at HEAD")
	case slices.Contains(commonKeys(), key):
		d.fail(n.child(key, value), "is the same for all apps: it stands at the top of the file, and an app can set %s", strings.Join(ownKeys(), ", "))
	default:
		d.field(n, key, value, v)
	}
}

// clone is a copy that shares no map.
func (s Settings) clone() Settings {
	s.Chains = maps.Clone(s.Chains)
	s.Build.Args, s.Build.Contexts = maps.Clone(s.Build.Args), maps.Clone(s.Build.Contexts)
	s.Build.Bases, s.Build.Secrets = maps.Clone(s.Build.Bases), maps.Clone(s.Build.Secrets)
	return s
}

// compareApps finds what two apps that are chosen must not have in common: one would be written over the
// other, or take the other's orders for its own earlier ones.
func (c *Checker) compareApps() {
	for _, what := range []struct {
		key string
		of  func(Settings) string
	}{
		{"name", func(s Settings) string { return s.AppName() }},
		{"image", func(s Settings) string { return imageName(s.Image) }},
		{"record", func(s Settings) string { return filepath.Clean(string(s.Record)) }},
		{"project", func(s Settings) string { return string(s.Project) }},
		{"app.ens", func(s Settings) string { return string(s.App.ENS) }},
	} {
		first := map[string]string{}
		for _, app := range c.chosen {
			value := what.of(app.Settings)
			if other, taken := first[value]; taken && value != "" {
				where := app.entry.where // where it is missing, unless it is written there
				if app.entry.own[what.key] {
					where = app.Place(what.key)
				}
				app.entry.own[what.key] = true
				app.Problems = append(app.Problems, Problem{Where: where, Key: what.key, Text: fmt.Sprintf("is %s, which is that of %s too: each app has one of its own", value, other)})
				continue
			}
			first[value] = app.Settings.Apps.Chosen
		}
	}
}

// keepApart tells each app of the others: no build may have what opens a key of another app,
// or is its secret.
func (c *Checker) keepApart() {
	for _, app := range c.everyApp {
		for _, other := range c.everyApp {
			if other != app {
				app.Settings.Apps.others = append(app.Settings.Apps.others, &other.Settings)
			}
		}
	}
}

func imageName(r Repository) string {
	if r == (Repository{}) {
		return ""
	}
	return r.Name()
}

// Apps returns a Checker for each app that is chosen; itself, where the configuration has
// one app only.
func (c *Checker) Apps() []*Checker {
	if len(c.everyApp) == 0 {
		return []*Checker{c}
	}
	return c.chosen
}

// all are the problems of what the apps have in common, and of each that is chosen.
func (c *Checker) all() []Problem {
	all := slices.Clone(c.Problems)
	for _, app := range c.chosen {
		for _, p := range app.Problems {
			if _, set := app.places[p.Key]; !slices.Contains(c.Problems, p) && app.entry.owns(p.Key, set) {
				p.Key = strings.TrimSuffix(app.entry.key+"."+p.Key, ".")
			}
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// oneOf refuses a configuration with several apps where one is meant.
func (c *Checker) oneOf() error {
	names := make([]string, len(c.chosen))
	for i, app := range c.chosen {
		names[i] = app.Settings.Apps.Chosen
	}
	return &Error{[]Problem{{
		Where: c.Place("apps"), Key: "apps", Text: fmt.Sprintf("are several, and this is about one: %s", strings.Join(names, ", ")), Cure: "say which app is meant: --only NAME",
	}}}
}
