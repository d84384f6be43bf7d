package registry

import "strings"

// IsDown matches what go-containerregistry passes on of a network that is down, or of a
// service that is: as text.
func IsDown(err error) bool {
	for _, words := range []string{"connection refused", "no such host", "i/o timeout", "connection reset"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}
