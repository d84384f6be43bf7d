package iexeccli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/poco"
)

// Released is a release of the project's app.
type Released struct {
	ChainID uint64
	Address common.Address
	App     poco.App
	Order   poco.SignedAppOrder
}

// About is which app a project's files are about. What they do not say is zero.
type About struct {
	Name  string
	Owner common.Address
	// Apps are those that deployed.json and orders.json name on the chain.
	Apps []common.Address
	// Order is the one that orders.json has for the chain; nil without one.
	Order *poco.SignedAppOrder
}

// Update is a file that is to be as it says.
type Update struct {
	Path string
	Data []byte
}

// project is the three files, as they are kept up to date.
type project struct {
	folder               string
	main, deployed, sold object
}

func open(folder string) (p project, err error) {
	p.folder = folder
	for _, file := range p.files() {
		data, err := readItself(filepath.Join(folder, file.name))
		if file.name != File && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return p, fmt.Errorf("reading %s: %w", file.name, err)
		}
		if err := json.Unmarshal(data, file.object); err != nil {
			return p, fmt.Errorf("reading %s: %w", file.name, inWords(data, err))
		}
	}
	return p, nil
}

// readItself reads a file that is no link: in the place of a link another file would be
// written, with what that leads to.
func readItself(path string) ([]byte, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, errors.New("it is a link: name the folder of what it leads to")
	}
	return bounds.ReadJSON(path, bounds.Project)
}

// check refuses what would be lost: something else where an object is to be written into.
func (p *project) check(chain string) error {
	for _, at := range []struct {
		name, key string
		of        object
	}{{File, "app", p.main}, {"deployed.json", "app", p.deployed}, {"orders.json", chain, p.sold}} {
		for _, m := range at.of {
			if m.key == at.key && m.value[0] != '{' && string(m.value) != "null" {
				return fmt.Errorf("reading %s: its %q is no object", at.name, at.key)
			}
		}
	}
	return nil
}

// Files are the names of the files that are kept up to date.
func Files() (names []string) {
	for _, f := range (&project{}).files() {
		names = append(names, f.name)
	}
	return names
}

type file struct {
	name   string
	object *object
}

func (p *project) files() []file {
	return []file{{File, &p.main}, {"deployed.json", &p.deployed}, {"orders.json", &p.sold}}
}

// ReadAbout reads which app a project's files are about, on a chain. Its error is an
// [fs.ErrNotExist] when there is no iexec.json, or says which file cannot be read.
func ReadAbout(folder string, chainID uint64) (a About, err error) {
	p, err := open(folder)
	if err != nil {
		return a, err
	}
	chain := strconv.FormatUint(chainID, 10)
	if err := p.check(chain); err != nil {
		return a, err
	}
	app := value{File + " app", p.main.at("app").fields()}
	a.Name = app.field("name").text()
	a.Owner = addressOf(app.field("owner"))
	for _, v := range []value{
		{"", p.deployed.at("app").fields()[chain]},
		{"", p.sold.at(chain).at("apporder").fields()["app"]},
	} {
		if at := addressOf(v); at != (common.Address{}) && !slices.Contains(a.Apps, at) {
			a.Apps = append(a.Apps, at)
		}
	}
	for _, m := range p.sold.at(chain) {
		if m.key != "apporder" {
			continue
		}
		if err := json.Unmarshal(m.value, &a.Order); err != nil {
			return a, fmt.Errorf("reading orders.json: its apporder of chain %s: %w", chain, err)
		}
	}
	return a, nil
}

func addressOf(v value) common.Address {
	if text := v.text(); common.IsHexAddress(text) {
		return common.HexToAddress(text)
	}
	return common.Address{}
}

// Updates returns the files that a release changes: the app's fields in iexec.json, with
// the address in the order's terms where there are some; its address in deployed.json, and
// its signed order in orders.json. All else in them is kept, in its order; as the command
// line does, they are indented by two spaces. Errors: as of [ReadAbout].
func Updates(folder string, r Released) (updates []Update, err error) {
	p, err := open(folder)
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	for _, f := range p.files() {
		before[f.name] = f.object.String()
	}
	if err := p.check(strconv.FormatUint(r.ChainID, 10)); err != nil {
		return nil, err
	}
	p.put(r)
	for _, f := range p.files() {
		if now := f.object.String(); now != before[f.name] {
			updates = append(updates, Update{filepath.Join(folder, f.name), []byte(now)})
		}
	}
	return updates, nil
}

func (p *project) put(r Released) {
	chain := strconv.FormatUint(r.ChainID, 10)
	app := p.main.at("app")
	app.set("owner", r.App.Owner.Hex())
	app.set("name", r.App.Name)
	app.set("type", r.App.Type)
	app.set("multiaddr", string(r.App.Multiaddr))
	app.set("checksum", common.Hash(r.App.Checksum).Hex())
	switch enclave := r.App.MREnclave; {
	case len(enclave) == 0: // the command line of version 9 refuses any
		app.remove("mrenclave")
	case json.Valid(enclave):
		app.set("mrenclave", json.RawMessage(enclave))
	default:
		app.set("mrenclave", string(enclave))
	}
	p.main.set("app", app)
	if terms := p.main.at("order"); len(terms.at("apporder")) > 0 {
		order := terms.at("apporder")
		order.set("app", r.Address.Hex())
		terms.set("apporder", order)
		p.main.set("order", terms)
	}
	apps := p.deployed.at("app")
	apps.set(chain, r.Address.Hex())
	p.deployed.set("app", apps)
	orders := p.sold.at(chain)
	orders.set("apporder", r.Order)
	p.sold.set(chain, orders)
}

// object is a JSON object whose members keep their order, known or not.
type object []member

type member struct {
	key   string
	value json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *object) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return json.Unmarshal(data, &map[string]any{}) // which says what it is
	}
	*o = nil
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		o.put(fmt.Sprint(key), value)
	}
	_, err := d.Token()
	return err
}

// String is the object as the command line writes it.
func (o object) String() string {
	var text bytes.Buffer
	if err := json.Indent(&text, o.encode(), "", "  "); err != nil {
		panic(err) // each value was read as JSON, or encoded
	}
	return text.String() + "\n"
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) { return o.encode(), nil }

func (o object) encode() []byte {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, encoded(m.key)...), ':'), m.value...)
	}
	return append(text, '}')
}

// encoded is a value's JSON, in which <, > and & stand as they are.
func encoded(value any) json.RawMessage {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // texts, orders, and what was read as JSON
	}
	return bytes.TrimSpace(text.Bytes())
}

// at returns the object that a member is; an empty one for none, or anything else.
func (o object) at(key string) (inner object) {
	for _, m := range o {
		if m.key == key && json.Unmarshal(m.value, &inner) != nil {
			return nil
		}
	}
	return inner
}

func (o object) fields() map[string]any {
	fields := map[string]any{}
	for _, m := range o {
		var is any
		if json.Unmarshal(m.value, &is) == nil {
			fields[m.key] = is
		}
	}
	return fields
}

func (o *object) set(key string, value any) { o.put(key, encoded(value)) }

func (o *object) put(key string, value json.RawMessage) {
	if i := slices.IndexFunc(*o, func(m member) bool { return m.key == key }); i >= 0 {
		(*o)[i].value = value
		return
	}
	*o = append(*o, member{key, value})
}

func (o *object) remove(key string) {
	*o = slices.DeleteFunc(*o, func(m member) bool { return m.key == key })
}
