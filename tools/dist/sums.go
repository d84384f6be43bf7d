package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// asset is a file of the release.
type asset struct {
	name string
	size int
	sum  string // SHA-256 in hex
}

// assets are the files that were made, but for those about others.
func (r release) assets() (all []asset, err error) {
	found, err := os.ReadDir(r.out)
	if err != nil {
		return nil, err
	}
	for _, entry := range found {
		if entry.Name() == checksums || strings.HasSuffix(entry.Name(), statementSuffix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		all = append(all, asset{entry.Name(), len(data), hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// checksums is the file for sha256sum.
const checksums = "SHA256SUMS"

// writeSums writes the checksums twice: for sha256sum, and, into the file that the
// repository keeps, with version and sizes. Of that, a line is: SHA-256, size, name, two
// spaces between; its first one is "# version " and the version.
func (r release) writeSums(kept string) error {
	all, err := r.assets()
	if err != nil {
		return err
	}
	var plain, sized strings.Builder
	fmt.Fprintf(&sized, "# version %s\n", r.version)
	for _, a := range all {
		fmt.Fprintf(&plain, "%s  %s\n", a.sum, a.name)
		fmt.Fprintf(&sized, "%s  %d  %s\n", a.sum, a.size, a.name)
	}
	if err := os.WriteFile(filepath.Join(r.out, checksums), []byte(plain.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(kept, []byte(sized.String()), 0o644)
}
