//go:build linux && amd64

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/userns"
)

// confinedFile holds what the runtime could do last: asking it takes longer than all
// the rest of a short run.
const confinedFile = "confined"

// note is what is known of this runtime in these namespaces since the machine started.
type note struct {
	state  state
	about  string
	extent string // "" when it is not known
}

// openNote reads the note, which lies in the state folder that the bundle is in.
func (b bundle) openNote() (note, error) {
	path := filepath.Dir(filepath.Dir(filepath.Dir(b.path)))
	dir, err := os.OpenRoot(path)
	if err != nil {
		return note{}, fmt.Errorf("opening builder state: %w", err)
	}
	n := note{state: state{path, dir}}
	if n.about, err = b.circumstances(); err != nil {
		return n, errors.Join(err, dir.Close())
	}
	if last, err := dir.ReadFile(confinedFile); err == nil {
		if about, extent, ok := strings.Cut(string(last), "\n"); ok && about == n.about {
			n.extent = extent
		}
	}
	return n, nil
}

func (n note) write(have extent) error {
	err := n.state.write(confinedFile, []byte(n.about+"\n"+have.String()))
	if err != nil && !errors.Is(err, fs.ErrExist) { // another container that starts now has written it
		return fmt.Errorf("writing builder state: %w", err)
	}
	return nil
}

func (n note) close() { _ = n.state.dir.Close() } // nothing was written through it

// Lacks names what the confined containers of this machine do without, as the last one
// showed; nothing when none was started.
func (e *Engine) Lacks() []string {
	if userns.RunningInUserNS() {
		return []string{withoutGroups}
	}
	last, err := e.state.dir.ReadFile(confinedFile)
	if err != nil {
		return nil
	}
	_, have, _ := strings.Cut(string(last), "\n")
	var lacks []string
	if strings.Contains(have, "users=false") {
		lacks = append(lacks, "users of its own")
	}
	if strings.Contains(have, "groups=false") {
		lacks = append(lacks, withoutGroups)
	}
	return lacks
}

// withoutGroups is what control groups would limit.
const withoutGroups = "limits of memory and processes"

// circumstances name what decides on what the runtime can do.
func (b bundle) circumstances() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot's ID: %w", err)
	}
	info, err := os.Stat(b.runtime.Command)
	if err != nil {
		return "", fmt.Errorf("opening runtime: %w", err)
	}
	about := fmt.Sprint(strings.TrimSpace(string(boot)), " ", b.runtime.Command, " ", info.Size(), " ", info.ModTime().UnixNano())
	for _, kind := range []string{"user", "mnt", "cgroup"} {
		name, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return "", fmt.Errorf("reading namespaces: %w", err)
		}
		about += " " + name
	}
	return about, nil
}
