package preflight

import (
	"errors"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/logins"
	"github.com/mrelease/mrelease/settings"
)

// CheckCredentials looks at the places that the logins of registries are taken from: one
// that is too large, or is not what it should be, is told before anything else. Its error
// is a [*settings.Error].
func CheckCredentials(getenv func(string) string) error {
	var problems []settings.Problem
	for _, place := range logins.Places(getenv) {
		err := place.Check()
		var larger *bounds.Error
		if errors.As(err, &larger) {
			problems = append(problems, settings.Problem{Where: place.Name, Text: larger.Reason()})
		} else if err != nil {
			problems = append(problems, settings.Problem{Where: place.Name, Text: settings.Reason(err)})
		}
	}
	if problems == nil {
		return nil
	}
	return &settings.Error{Problems: problems}
}
