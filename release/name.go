package release

import (
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// ofWhat says what is to be known of the source.
func (r *run) ofWhat() (found []Finding) {
	if s := r.Source; s.Asked != "" {
		found = append(found, Finding{"version", Note, fmt.Sprintf("%s is released as %s: a v before the number is not part of a version", s.Asked, s.Version)})
	}
	if r.Source.Dirty() {
		found = append(found, Finding{"source", Note, "the source is not as committed, which record and provenance say: " + r.Source.Commit.Difference()})
	}
	return found
}

// whoAndWhat says what is to be known of the owner's address and of the app's name
// before anything else: who states an address whose key was not opened, that not all may
// be able to pull the layers, and that a name may be read as another one.
func (r *run) whoAndWhat(stated string) []Finding {
	found := r.ofWhat()
	if stated != "" {
		found = append(found, Finding{"wallet", Note, fmt.Sprintf("%s, as %s states: its key was not opened", r.owner(), stated)})
	}
	if text := r.Settings.Build.Compression.Warning(); text != "" {
		found = append(found, Finding{"layers", Note, text})
	}
	if text := cacheNote(r.Settings.Build.Cache, r.Source.Version); text != "" {
		found = append(found, Finding{"cache", Note, text})
	}
	name := r.Settings.AppName()
	if scripts := printable.Scripts(name); scripts != nil {
		found = append(found, Finding{"name", Note, fmt.Sprintf("the app's name %s mixes letters of %s: it may be read as another name", name, strings.Join(scripts, ", "))})
	}
	return found
}
