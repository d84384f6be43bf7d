package record

import (
	"bytes"
	"fmt"

	"github.com/mrelease/mrelease/publish/registry"
)

// Control tries what [Parse] and [Seek] go by with what they must refuse: this record with
// one letter changed, at several places, and for an app of another address, owner or chain. It
// asks nobody. Its error is a [*registry.ControlError].
func (r Record) Control() error {
	image, err := r.imageDigest()
	if err != nil {
		return err
	}
	data, err := r.Encode()
	if err != nil {
		return err
	}
	const places = 8
	for i := range places {
		at := i * (len(data) - 1) / (places - 1)
		other := bytes.Clone(data)
		other[at] ^= 1
		if _, err := Parse(other); err == nil {
			return &registry.ControlError{Image: image, Took: fmt.Sprintf("the record with byte %d changed", at)}
		}
	}
	for what, change := range map[string]func(*App){
		"at another address": func(a *App) { a.Address[19] ^= 1 },
		"of another owner":   func(a *App) { a.Owner[19] ^= 1 },
		"on another chain":   func(a *App) { a.ChainID++ },
	} {
		app := r
		change(&app.App)
		if r.isOf(app) == nil {
			return &registry.ControlError{Image: image, Took: "the record as that of an app " + what}
		}
	}
	return nil
}
