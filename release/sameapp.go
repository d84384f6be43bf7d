package release

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/settings"
)

// OtherAppError says that something is another app's than the configuration's: what
// that is measured from says nothing of this one.
type OtherAppError struct{ What, Ours, Theirs string }

// Error implements error.
func (e *OtherAppError) Error() string {
	return fmt.Sprintf("the %s is of another app: %s, not %s", e.What, e.Theirs, e.Ours)
}

// Evidence returns both names.
func (e *OtherAppError) Evidence() [][2]string {
	return [][2]string{{"expected", e.What + " of " + e.Ours}, {"actual", e.Theirs}}
}

// CheckRecorded makes sure that a record is of the app that the settings name. Its
// error is an [*OtherAppError].
func CheckRecorded(cfg settings.Settings, rec record.Record) error {
	named := cfg.Name != "" || cfg.Image.Repository != (name.Repository{})
	if ours := cfg.AppName(); named && ours != rec.App.Name {
		return &OtherAppError{"record", ours, rec.App.Name}
	}
	return CheckReference(cfg, rec.Image.Reference)
}

// CheckReference makes sure that an image's reference is of the repository that the
// settings name, in any registry. A folder has no such name, and passes.
func CheckReference(cfg settings.Settings, where string) error {
	ref, err := name.ParseReference(where)
	if err != nil || cfg.Image.Repository == (name.Repository{}) || !namesRegistry(where) || notInRegistry(where) != "" {
		return nil
	}
	if ours, theirs := cfg.Image.RepositoryStr(), ref.Context().RepositoryStr(); ours != theirs {
		return &OtherAppError{"image", cfg.Image.Name(), ref.Context().Name()}
	}
	return nil
}
