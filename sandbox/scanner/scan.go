package scanner

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What a scanner can be asked to do by its argument: the first is what one does, the others
// are what none should.
const (
	Right  = "right"
	None   = "none"   // writes nothing
	Two    = "two"    // writes two documents
	Broken = "broken" // writes half of one
	Huge   = "huge"   // writes one of 1 GiB, most of which is a hole
	Fails  = "fails"  // ends with an error
	Fickle = "fickle" // lists something random, which no normal form can settle
)

// Name is what it calls itself.
const Name = "stand-in-scanner-1.0.0"

// Scan does what the protocol asks for: it lists what is in the folder of
// BUILDKIT_SCAN_SOURCE, in a file of that of BUILDKIT_SCAN_DESTINATION.
func Scan(how string, getenv func(string) string) error {
	source, destination := getenv("BUILDKIT_SCAN_SOURCE"), getenv("BUILDKIT_SCAN_DESTINATION")
	if source == "" || destination == "" {
		return errors.New("want BUILDKIT_SCAN_SOURCE and BUILDKIT_SCAN_DESTINATION")
	}
	file := filepath.Join(destination, filepath.Base(source)+".spdx.json")
	switch how {
	case None:
		return nil
	case Fails:
		return errors.New("cannot scan, as was asked for")
	case Huge:
		return errors.Join(os.WriteFile(file, nil, 0o644), os.Truncate(file, 1<<30))
	}
	listed, err := list(source, how == Fickle)
	if err != nil {
		return err
	}
	switch how {
	case Broken:
		listed = listed[:len(listed)/2]
	case Two:
		if err := os.WriteFile(filepath.Join(destination, "more.spdx.json"), listed, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, listed, 0o644)
}

// object is one of JSON's.
type object = map[string]any

// list returns a statement with the document.
func list(source string, fickle bool) ([]byte, error) {
	packages, err := installed(source)
	if err != nil {
		return nil, err
	}
	files, err := regular(source)
	if err != nil {
		return nil, err
	}
	if fickle {
		packages = append(packages, newPackage("fickle", uuid.NewString()))
	}
	shuffle(packages)
	shuffle(files)
	var relations []object
	for _, p := range packages {
		relations = append(relations, object{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": p["SPDXID"], "relationshipType": "DESCRIBES"})
	}
	return json.Marshal(object{
		"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "subject": nil,
		"predicate": object{
			"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "sbom",
			"documentNamespace": "https://mrelease.example/stand-in/dir/sbom-" + uuid.NewString(),
			"creationInfo":      object{"created": time.Now().UTC().Format(time.RFC3339), "creators": []string{"Organization: mrelease", "Tool: " + Name}},
			"packages":          packages, "files": files, "relationships": relations,
		},
	})
}

func shuffle(all []object) {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

func newPackage(name, version string) object {
	return object{
		"name": name, "versionInfo": version, "SPDXID": fmt.Sprintf("SPDXRef-Package-%x", sha256.Sum256([]byte(name+" "+version)))[:32], "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
		"externalRefs": []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/" + name + "@" + version + "?arch=amd64&distro=debian"}},
	}
}

// installed reads what Debian's dpkg knows; an image may have none of it.
func installed(source string) (all []object, err error) {
	text, err := os.ReadFile(filepath.Join(source, "var/lib/dpkg/status"))
	if errors.Is(err, fs.ErrNotExist) {
		return []object{}, nil
	}
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(append(text, '\n', '\n')))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() != "" {
			if name, value, ok := strings.Cut(lines.Text(), ": "); ok {
				fields[name] = value
			}
			continue
		}
		if fields["Package"] != "" {
			all = append(all, newPackage(fields["Package"], fields["Version"]))
		}
		clear(fields)
	}
	return all, lines.Err()
}

// maxFiles keeps the document small: the stand-in lists so many files, and no more.
const maxFiles = 500

// regular lists files with their SHA-256, those that come first by their paths.
func regular(source string) ([]object, error) {
	all := []object{}
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(all) == maxFiles {
			return fs.SkipAll
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		all = append(all, object{
			"fileName": "/" + name, "SPDXID": fmt.Sprintf("SPDXRef-File-%x", sha256.Sum256([]byte(name)))[:32], "copyrightText": "NOASSERTION",
			"checksums": []object{{"algorithm": "SHA256", "checksumValue": sum}},
		})
		return err
	})
	return all, err
}
