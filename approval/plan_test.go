package approval_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/document"
)

func known(text string) *string { return &text }

// example is a plan of an image that is not built yet; its texts have what canonical
// forms differ in.
func example(t testing.TB) approval.Plan {
	t.Helper()
	p := approval.Plan{
		Version: "1.3.0",
		Source:  approval.Source{Commit: strings.Repeat("c0", 20), Inputs: "sha256:" + strings.Repeat("1", 64)},
		Chain:   approval.Chain{Name: "sandbox", ID: "65535", Hub: "0x01", Apps: "0x02", Market: "http://market"},
		Image:   approval.Image{Reference: "ghcr.io/acme/hello:1.3.0", Signer: known("-----BEGIN PUBLIC KEY-----\nabc=\n-----END PUBLIC KEY-----\n")},
		Enclave: approval.Enclave{Format: "legacy", Trust: "known", Signer: known("")},
		App:     approval.App{Owner: "0x03", Name: "a\u2028b\u2029 <&> \"\\/ ä 😀 \t", Type: "DOCKER", Multiaddr: "ghcr.io/acme/hello:1.3.0"},
		Order:   approval.Order{Price: "9007199254740993", Volume: "1000000", Tag: "0x01"},
		Retire:  approval.Retire{How: "close", Overlap: "0s", Orders: []approval.OldOrder{{Hash: "0x0a", App: "0x0b", Version: "1.2.0", Consumed: "1000000"}}},
		Writes:  []string{"image", "app"},
		Calls:   []approval.Call{{To: "0x02", Function: "createApp(address)", Arguments: map[string]*string{"owner": known("0x03"), "checksum": nil}}},
		Cost:    approval.Cost{Gas: "500000", MaxFeePerGas: "16", Max: "8000000"},
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t testing.TB, p approval.Plan) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is written is read, and is the same in every form that JSON allows for it.
func TestPlanIsRead(t *testing.T) {
	p := example(t)
	data := encode(t, p)
	var small bytes.Buffer
	if err := json.Compact(&small, data); err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{data, small.Bytes(), append([]byte("\n"), data...)} {
		got, err := approval.Parse("plan.json", form)
		if err != nil || !bytes.Equal(encode(t, got), data) {
			t.Errorf("read %s, %v", encode(t, got), err)
		}
	}
	want := "app.address app.checksum app.mrenclave calls[0].checksum enclave.mrenclave image.digest order.hash"
	if got := strings.Join(p.Unknown(), " "); got != want {
		t.Errorf("unknown: %s, want %s", got, want)
	}
}

// Who looks at a plan's file sees what it says: nothing in it hides or turns text.
func TestAttackPlanThatIsNotWhatIsSeen(t *testing.T) {
	p := example(t)
	p.Canary = &approval.Canary{Params: "--pay \u202e001 yap--\u2066 \u200b\U000e0041 \x1b[2J"}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	data := encode(t, p)
	if i := bytes.IndexFunc(data, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("the file holds %+q", data[i:i+8])
	}
	if got, err := approval.Parse("plan.json", data); err != nil || got.Canary.Params != p.Canary.Params || got.Hash != p.Hash {
		t.Errorf("read %+v, %v", got, err)
	}
}

// Other programs find the same hash: node, whose JSON is what RFC 8785 is defined by, and
// jq by the command that the documentation has.
func TestOthersFindTheHash(t *testing.T) {
	p := example(t)
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, encode(t, p), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `
const sorted = v => Array.isArray(v) ? v.map(sorted) : v && typeof v == 'object' ? Object.fromEntries(Object.keys(v).sort().map(k => [k, sorted(v[k])])) : v
const plan = JSON.parse(require('fs').readFileSync(process.argv[1]))
delete plan.hash
process.stdout.write(JSON.stringify(sorted(plan)))`
	judges := map[string][]string{"node": {"-e", script, path}}
	if _, err := exec.LookPath("jq"); err == nil { // node is there wherever the tests run
		judges["jq"] = []string{"-jcS", "del(.hash)", path}
	}
	for program, args := range judges {
		text, err := exec.CommandContext(t.Context(), program, args...).Output()
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); err != nil || got != p.Hash {
			t.Errorf("%s finds %s, %v, want %s, over %s", program, got, err, p.Hash, text)
		}
	}
}

// Whatever is changed in a plan's file is seen.
func TestPlanThatWasChanged(t *testing.T) {
	text := string(encode(t, example(t)))
	for name, test := range map[string]struct {
		old, new string
		is       any // the error
	}{
		"a value":           {`"price": "9007199254740993"`, `"price": "9007199254740992"`, new(*approval.HashError)},
		"the hash":          {`"hash": "` + example(t).Hash, `"hash": "` + strings.Repeat("0", 64), new(*approval.HashError)},
		"no value":          {`"owner": "0x03"`, `"owner": null`, new(*approval.Error)},
		"an old order":      {`"hash": "0x0a"`, `"hash": "0x0b"`, new(*approval.HashError)},
		"a member more":     {`"version": "1.3.0",`, `"version": "1.3.0", "colour": "red",`, new(*approval.Error)},
		"a member twice":    {`"version": "1.3.0",`, `"version": "1.2.0", "version": "1.3.0",`, new(*approval.Error)},
		"in other letters":  {`"version": "1.3.0",`, `"Version": "1.3.0",`, new(*approval.Error)},
		"a member less":     {`"version": "1.3.0",`, ``, new(*approval.Error)},
		"another type":      {`"version": "1.3.0",`, `"version": 1.3,`, new(*approval.Error)},
		"no list":           {`"writes": [`, `"writes": null, "x": [`, new(*approval.Error)},
		"another version":   {approval.Schema, "mrelease.approval/v1", new(*approval.Error)},
		"another document":  {approval.Schema, "mrelease.plan/v1", new(*document.Error)},
		"more behind it":    {"\n}\n", "\n}\n{}", new(*approval.Error)},
		"less":              {"\n}\n", "", new(*approval.Error)},
		"a lone surrogate":  {`"version": "1.3.0"`, `"version": "\ud800"`, new(*approval.Error)},
		"a hash without it": {`"hash": "` + example(t).Hash + `"`, `"hash": ""`, new(*approval.HashError)},
	} {
		changed := strings.Replace(text, test.old, test.new, 1)
		if changed == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := approval.Parse("plan.json", []byte(changed))
		if !errors.As(err, test.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := strings.Repeat("[", 100_000)
	if _, err := approval.Parse("plan.json", []byte(deep)); err == nil {
		t.Error("a document of any depth is read")
	}
	p := example(t)
	if err := p.CheckHash("plan.json", strings.Repeat("0", 64)); err == nil || p.CheckHash("plan.json", p.Hash) != nil {
		t.Errorf("another hash: %v", err)
	}
}

// A release is compared with what was approved, member by member.
func TestReleaseIsCompared(t *testing.T) {
	built := func(p *approval.Plan) {
		p.Image.Digest, p.Enclave.MRENCLAVE, p.App.Address, p.App.Checksum, p.App.MREnclave, p.Order.Hash = known("sha256:2"), known("3"), known("0x04"), known("0x05"), known("6"), known("0x07")
		p.Calls[0].Arguments = map[string]*string{"owner": known("0x03"), "checksum": known("0x05")}
	}
	for name, test := range map[string]struct {
		now     func(p *approval.Plan)
		differs string // members
	}{
		"nothing":               {func(*approval.Plan) {}, ""},
		"done in part":          {func(p *approval.Plan) { p.Writes, p.Calls, p.Retire.Orders = p.Writes[:1], nil, nil }, ""},
		"cheaper":               {func(p *approval.Plan) { p.Cost.Gas = "1" }, ""},
		"another price":         {func(p *approval.Plan) { p.Order.Price = "5" }, "order.price"},
		"another commit":        {func(p *approval.Plan) { p.Source.Commit, p.Source.Dirty = "", true }, "source.commit, source.dirty"},
		"another chain":         {func(p *approval.Plan) { p.Chain.Name, p.Chain.ID = "bellecour", "134" }, "chain.id, chain.name"},
		"more gas":              {func(p *approval.Plan) { p.Cost.Gas = "500001" }, "cost.gas"},
		"more to write":         {func(p *approval.Plan) { p.Writes = append(p.Writes, "order") }, "writes"},
		"another order retired": {func(p *approval.Plan) { p.Retire.Orders = []approval.OldOrder{{Hash: "0x0c"}} }, "retire.orders"},
		"another call":          {func(p *approval.Plan) { p.Calls[0].To = "0x09" }, "calls"},
		"a canary":              {func(p *approval.Plan) { p.Canary = &approval.Canary{} }, "canary"},
		"another signer":        {func(p *approval.Plan) { p.Image.Signer = known("somebody") }, "image.signer"},
		"not known":             {func(p *approval.Plan) { p.Order.Hash = nil }, "order.hash"},
	} {
		approved, now := example(t), example(t)
		now.Writes, now.Calls = append([]string{}, now.Writes...), append([]approval.Call{}, now.Calls...)
		built(&now)
		test.now(&now)
		err := approved.Check(now, true)
		var differs *approval.DiffersError
		if test.differs == "" && err != nil || test.differs != "" && (!errors.As(err, &differs) || !strings.HasSuffix(err.Error(), "another "+test.differs)) {
			t.Errorf("%s: %v, want %q", name, err, test.differs)
		}
	}
	// What of a list is not as it was approved is told, and not all of it.
	for name, test := range map[string]struct {
		now           func(p *approval.Plan)
		expect, found string
	}{
		"an argument": {func(p *approval.Plan) {
			p.Calls[0].Arguments = map[string]*string{"owner": known("0x09"), "checksum": nil}
		}, "createApp: owner 0x03", "createApp: owner 0x09"},
		"another call": {func(p *approval.Plan) { p.Calls[0].Function = "close(bytes)" }, "createApp", "close: checksum none, owner 0x03, to 0x02"},
		"an order's runs": {func(p *approval.Plan) {
			p.Retire.Orders = []approval.OldOrder{{Hash: "0x0a", App: "0x0b", Version: "1.2.0", Consumed: "5"}}
		}, "0x0a: consumed 1000000", "0x0a: consumed 5"},
		"another order": {func(p *approval.Plan) { p.Retire.Orders = []approval.OldOrder{{Hash: "0x0c", App: "0x0b"}} }, "0x0a", "0x0c: app 0x0b, consumed , version "},
		"a write":       {func(p *approval.Plan) { p.Writes = []string{"order"} }, "image, app", "order"},
	} {
		approved, now := example(t), example(t)
		test.now(&now)
		var differs *approval.DiffersError
		if err := approved.Check(now, false); !errors.As(err, &differs) || len(differs.Differences) != 1 || differs.Differences[0].Approved != test.expect || differs.Differences[0].Now != test.found {
			t.Errorf("%s: %+v, want %q, %q", name, err, test.expect, test.found)
		}
	}
	// Who seals is not known where the key is not: it matters until the image is there.
	unsealed := example(t)
	unsealed.Enclave.Signer = nil
	if got := strings.Join(unsealed.Unknown(), " "); !strings.Contains(got, "enclave.signer") {
		t.Errorf("unknown: %s", got)
	}
	built(&unsealed)
	if got := strings.Join(unsealed.Unknown(), " "); strings.Contains(got, "enclave.signer") {
		t.Errorf("unknown once the image is there: %s", got)
	}
	// What was known is compared once it is known again, and not before.
	approved, now := example(t), example(t)
	built(&approved)
	if err := approved.Check(now, false); err != nil {
		t.Error(err)
	}
	built(&now)
	now.Image.Digest = known("sha256:9")
	if err := approved.Check(now, false); err == nil || !strings.Contains(err.Error(), "image.digest") {
		t.Error(err)
	}
}

// Every member of a plan is compared: whichever is another text, it is a difference.
func TestEveryMemberIsCompared(t *testing.T) {
	approved := example(t)
	approved.Canary = &approval.Canary{}
	var tree map[string]any
	if err := json.Unmarshal(encode(t, approved), &tree); err != nil {
		t.Fatal(err)
	}
	delete(tree, "hash")
	tried := 0
	var visit func(value any, set func(any))
	visit = func(value any, set func(any)) {
		switch v := value.(type) {
		case map[string]any:
			for key, below := range v {
				visit(below, func(to any) { v[key] = to })
			}
		case []any:
			for i, below := range v {
				visit(below, func(to any) { v[i] = to })
			}
		case string, bool:
			tried++
			other := any("999999999999999999999")
			if b, ok := v.(bool); ok {
				other = !b
			}
			set(other)
			encoded, err := json.Marshal(tree)
			var now approval.Plan
			if err = errors.Join(err, json.Unmarshal(encoded, &now)); err != nil {
				t.Fatal(err)
			}
			if err := approved.Check(now, false); err == nil {
				t.Errorf("not compared: %s", encoded)
			}
			set(value)
		}
	}
	visit(tree, nil)
	if tried < 40 {
		t.Errorf("only %d members were found", tried)
	}
}

// A member that is absent where there is none is compared, too: with it the release is another
// one, and without it.
func TestEveryOptionalMemberIsCompared(t *testing.T) {
	var tried []string
	var visit func(of reflect.Value, plan *approval.Plan)
	visit = func(of reflect.Value, plan *approval.Plan) {
		for i := range of.NumField() {
			field, value := of.Type().Field(i), of.Field(i)
			name, isOptional := strings.CutSuffix(field.Tag.Get("json"), ",omitempty")
			switch {
			case isOptional:
				tried = append(tried, name)
				value.SetZero()
				without := *plan
				switch value.Kind() {
				case reflect.Pointer:
					value.Set(reflect.New(field.Type.Elem()))
				case reflect.Slice:
					value.Set(reflect.MakeSlice(field.Type, 1, 1))
				default:
					value.SetString("one")
				}
				with := *plan
				value.SetZero()
				for way, err := range map[string]error{"more": without.Check(with, false), "less": with.Check(without, false)} {
					if err == nil || !strings.Contains(err.Error(), name) {
						t.Errorf("%s, one %s than was approved: %v", name, way, err)
					}
				}
			case value.Kind() == reflect.Struct:
				visit(value, plan)
			}
		}
	}
	plan := example(t)
	visit(reflect.ValueOf(&plan).Elem(), &plan)
	if len(tried) < 6 {
		t.Errorf("only %q were found", tried)
	}
}

// FuzzParse makes sure that what is taken for a plan is one: it is written and read again
// as the same.
func FuzzParse(f *testing.F) {
	data := encode(f, example(f))
	f.Add(data)
	f.Add(bytes.ReplaceAll(data, []byte("null"), []byte(`"\u2028"`)))
	f.Add([]byte(`{"schema":"mrelease.approval/v2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := approval.Parse("plan.json", data)
		if err != nil {
			return
		}
		again, err := approval.Parse("plan.json", encode(t, p))
		if err != nil || again.Hash != p.Hash || p.Check(again, false) != nil {
			t.Errorf("read again: %v", err)
		}
	})
}
