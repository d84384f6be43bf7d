package release

import (
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// whoAndWhat says what is to be known of the owner's address and of the app's name
// before anything else: who states an address whose key was not opened, and that a
// name may be read as another one.
func (r *run) whoAndWhat(stated string) (found []Finding) {
	if stated != "" {
		found = append(found, Finding{"wallet", Note, fmt.Sprintf("%s, as %s states: its key was not opened", r.owner(), stated)})
	}
	name := r.Settings.AppName()
	if scripts := printable.Scripts(name); scripts != nil {
		found = append(found, Finding{"name", Note, fmt.Sprintf("the app's name %s mixes letters of %s: it may be read as another name", name, strings.Join(scripts, ", "))})
	}
	return found
}
