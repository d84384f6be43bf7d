package fspf

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Entry is a file or a symbolic link of a protected region. Folders have no
// entry, and a link is not followed: the link itself is what is protected.
type Entry struct {
	Name   string `json:"name"` // relative to the region
	SHA256 string `json:"sha256,omitempty"`
	Link   string `json:"link,omitempty"`
}

// AddFiles records the files under source in a protected region. With output,
// the files are written there as the region's class wants them; an encrypted
// region needs it.
func (p *Protection) AddFiles(embedPoint, source, output string, random io.Reader) error {
	r, err := p.named(embedPoint)
	if err != nil {
		return err
	}
	if r.Class == NotProtected {
		return fmt.Errorf("region %s is not protected", r.Path)
	}
	if r.Class == Encrypted && output == "" {
		return fmt.Errorf("region %s is encrypted: an output directory is needed", r.Path)
	}
	if output != "" {
		if err := p.process(r, source, output, random); err != nil {
			return err
		}
		source = output
	}
	found, err := p.scan(r, source)
	if err != nil {
		return fmt.Errorf("reading %s: %w", source, err)
	}
	r.Files = merge(r.Files, found)
	return nil
}

// merge replaces entries of the same name and keeps the list sorted.
func merge(old, found []Entry) []Entry {
	byName := func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) }
	all := append(slices.Clone(found), old...) // of equal names the first one stays
	slices.SortStableFunc(all, byName)
	return slices.CompactFunc(all, func(a, b Entry) bool { return a.Name == b.Name })
}

// scan lists the files under folder that r, and no longer region, decides about.
func (p *Protection) scan(r *Region, folder string) ([]Entry, error) {
	var found []Entry
	err := p.walk(r, folder, func(name, file string, d fs.DirEntry) error {
		e, err := entry(name, file, d)
		found = append(found, e)
		return err
	})
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return found, err
}

// walk calls visit for the regular files and links under folder. The folder
// itself may be a link, as /bin is on merged systems; links below it are not
// followed.
func (p *Protection) walk(r *Region, folder string, visit func(name, file string, d fs.DirEntry) error) error {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is no directory")
	}
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if p.regionOf(path.Join(r.Path, name)) != r {
			return skip(d)
		}
		if !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
			return nil
		}
		return visit(name, file, d)
	})
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func entry(name, file string, d fs.DirEntry) (Entry, error) {
	if d.Type() == fs.ModeSymlink {
		target, err := os.Readlink(file)
		return Entry{Name: name, Link: target}, err
	}
	sum, err := hashFile(file)
	return Entry{Name: name, SHA256: sum}, err
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// process writes the files under source to output as the region's class wants
// them: copied, or encrypted under the region's key.
func (p *Protection) process(r *Region, source, output string, random io.Reader) error {
	if r.Class == Encrypted && r.Key == nil {
		r.Key = make([]byte, keySize)
		if _, err := io.ReadFull(random, r.Key); err != nil {
			return fmt.Errorf("making the region's key: %w", err)
		}
	}
	return p.walk(r, source, func(name, file string, d fs.DirEntry) error {
		target := filepath.Join(output, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if d.Type() == fs.ModeSymlink {
			return copyLink(file, target)
		}
		return r.copyFile(file, target, random)
	})
}

func copyLink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, to)
}

func (r *Region) copyFile(from, to string, random io.Reader) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if r.Class == Encrypted {
		if content, err = seal(content, [keySize]byte(r.Key), random); err != nil {
			return err
		}
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// Verify compares the protected folders with the protection file. A file that
// changed, went or came is an error: SCONE's runtime refuses each of them when
// it is opened, this one when the program starts.
func (p *Protection) Verify() error {
	for i := range p.Regions {
		r := &p.Regions[i]
		if r.Class == NotProtected || r.Kernel == "" {
			continue
		}
		found, err := p.scan(r, r.Kernel)
		if err != nil {
			return fmt.Errorf("reading region %s: %w", r.Path, err)
		}
		if err := r.compare(found); err != nil {
			return err
		}
	}
	return nil
}

func (r *Region) compare(found []Entry) error {
	want := map[string]Entry{}
	for _, e := range r.Files {
		want[e.Name] = e
	}
	for _, e := range found {
		listed, ok := want[e.Name]
		switch {
		case !ok:
			return fmt.Errorf("%s is not in the protection file", path.Join(r.Path, e.Name))
		case listed != e:
			return fmt.Errorf("%s differs from the protection file", path.Join(r.Path, e.Name))
		}
		delete(want, e.Name)
	}
	for name := range want {
		return fmt.Errorf("%s of the protection file is missing", path.Join(r.Path, name))
	}
	return nil
}
