//go:build attack

package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/record"
)

// strangeFiles writes files of a stranger into a folder: say.txt, with such words, and
// others with such names:
//
//	strange-files FOLDER
func strangeFiles(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: strange-files FOLDER")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	for _, name := range []string{"say.txt", stranger, "\n::add-mask::x", stranger + ".pyc"} {
		ts.Check(writeFile(filepath.Join(dir, name), stranger+"\n"))
	}
}

// strangeRecord runs mrelease with a record in which a stranger's words stand in the
// place of one text, for each of its texts and names; signed by the owner as far as
// it is a record. STRANGE stands for the file.
//
//	strange-record NAME RECORD ARGUMENT...
func (o *outcomes) strangeRecord(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: strange-record NAME RECORD ARGUMENT...")
	}
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &document))
	wallet, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(s.key)))
	ts.Check(err)
	file, tried := ts.MkAbs("strange.json"), 0
	replaceEach(&document, func() {
		text, err := json.Marshal(document)
		ts.Check(err)
		ts.Check(writeFile(file, string(text)))
		var r record.Record
		if json.Unmarshal(text, &r) == nil && r.Sign(context.Background(), wallet) == nil {
			ts.Check(r.WriteFile(file))
		}
		tried++
		_ = ts.Exec("mrelease", strings.Fields(strings.ReplaceAll(strings.Join(args[2:], " "), "STRANGE", file))...) // whatever it says
		checkPrinted(ts, s, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	row := fmt.Sprintf("%d texts of a record", tried)
	o.all = append(o.all, [3]string{s.name + ": " + args[0], row + ", nothing raw", row + ", nothing raw"})
	if tried < 25 {
		ts.Fatalf("%d texts were tried, a record has more", tried)
	}
}

// replaceEach puts a stranger's words in the place of each text and each name of a
// document, one after the other, and calls use for each.
func replaceEach(value *any, use func()) {
	switch v := (*value).(type) {
	case string:
		*value = stranger
		use()
		*value = v
	case []any:
		for i := range v {
			replaceEach(&v[i], use)
		}
	case map[string]any:
		for name, child := range v {
			replaceEach(&child, func() {
				old := v[name]
				v[name] = child
				use()
				v[name] = old
			})
		}
		v[stranger] = stranger
		use()
		delete(v, stranger)
	}
}
