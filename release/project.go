package release

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/settings"
)

// keepProject writes app and order into the files of iExec's command line.
func (r *run) keepProject(ctx context.Context) (string, error) {
	if _, err := r.lookAtProject(ctx); err != nil { // which anybody may have changed since
		return "", err
	}
	signed, err := orders.Sign(ctx, r.Chain.Domain(), r.keys.wallet, r.order())
	if err != nil {
		return "", err
	}
	updates, err := iexeccli.Updates(string(r.Settings.Project), iexeccli.Released{
		ChainID: r.Chain.ID, Address: r.registration.Address, App: r.registration.App, Order: signed,
	})
	if err != nil {
		return "", projectError("%v", err)
	}
	var names []string
	for _, u := range updates {
		if err := WriteOutput(u.Path, u.Data); err != nil {
			return "", err
		}
		names = append(names, filepath.Base(u.Path))
	}
	if len(names) == 0 {
		return r.note("project", false, "app and order in "+string(r.Settings.Project)), nil
	}
	return r.note("project", true, "app and order in "+strings.Join(names, ", ")), nil
}

// TryProject makes sure that the files of a project can be written, where there is one.
// Its errors are those of [TryOutput].
func TryProject(cfg settings.Settings) error {
	if cfg.Project == "" {
		return nil
	}
	return TryOutput(filepath.Join(string(cfg.Project), iexeccli.File))
}

// lookAtProject makes sure, before anything is written, that the files are about this app,
// and that what is written there does not change the source.
func (r *run) lookAtProject(ctx context.Context) ([]Finding, error) {
	folder := string(r.Settings.Project)
	about, err := iexeccli.ReadAbout(folder, r.Chain.ID)
	if err != nil {
		return nil, projectError("%v", err)
	}
	if name := r.Settings.AppName(); about.Name != "" && about.Name != name {
		return nil, projectError("%s is about app %q, and %q is released", filepath.Join(folder, iexeccli.File), about.Name, name)
	}
	if about.Owner != (common.Address{}) && about.Owner != r.owner() {
		return nil, projectError("%s is about an app of %s, and the wallet is %s", filepath.Join(folder, iexeccli.File), about.Owner, r.owner())
	}
	for _, address := range about.Apps {
		if err := r.isOfLine(ctx, address); err != nil {
			return nil, err
		}
	}
	for _, name := range iexeccli.Files() {
		path := filepath.Join(folder, name)
		var seen *InSourceError
		if err := r.checkUnseen(path); errors.As(err, &seen) {
			return nil, projectError("%s is a part of the source, which a release must not change: name it in .dockerignore", path)
		} else if err != nil {
			return nil, err
		}
		if err := CheckOutput(path); err != nil {
			return nil, err
		}
	}
	return []Finding{{"project", Note, "app and order would be written into " + strings.Join(iexeccli.Files(), ", ") + " in " + folder}}, nil
}

// isOfLine makes sure that an app which the files name is a release of this one: what is
// known of another one is not overwritten.
func (r *run) isOfLine(ctx context.Context, address common.Address) error {
	app, err := apps.Read(ctx, r.Chain, address)
	var none *apps.NoAppError
	if err != nil && !errors.As(err, &none) {
		return err
	}
	if err != nil || app.Owner != r.owner() || app.Name != r.Settings.AppName() {
		return projectError("deployed.json or orders.json in %s names %s on %s, which is no release of %s by %s", r.Settings.Project, address, r.Chain.Name, r.Settings.AppName(), r.owner())
	}
	return nil
}

func projectError(format string, args ...any) error {
	return &settings.Error{Problems: []settings.Problem{{Where: "project", Text: fmt.Sprintf(format, args...)}}}
}
