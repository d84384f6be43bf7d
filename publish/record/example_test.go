package record_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/record"
)

// One changed byte is noticed by whoever reads a record.
func ExampleParse() {
	owner, err := node.ParseKey(strings.Repeat("11", 32))
	if err != nil {
		log.Fatal(err)
	}
	r := unsigned(owner.Address)
	if err := r.Sign(context.Background(), owner); err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "record.json")
	if err := r.WriteFile(file); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	_, err = record.Parse(text)
	fmt.Println(err)
	_, err = record.Parse([]byte(strings.Replace(string(text), "1.0.0", "1.0.1", 1)))
	fmt.Println(err)
	// Output:
	// <nil>
	// the record is not signed by the app's owner
}
